/**
 * onnxruntime 1.30 keeps a record of every session in the user's cache, under a number of the machine, and sends it to its
 * maker. Not from here: to be imported before onnxruntime is. Who wants it sets ORT_DISABLE_TELEMETRY=0.
 */
process.env.ORT_DISABLE_TELEMETRY ??= '1';
