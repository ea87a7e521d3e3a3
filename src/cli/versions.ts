/** What ran: for provenance in whatever is written. */
import { readFileSync } from 'node:fs';

/** This package's version and that of the runtime, for provenance. */
export function versions(): Record<string, string> {
  const own = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
    dependencies: Record<string, string>;
  };
  return {
    semblance: own.version,
    'onnxruntime-node': own.dependencies['onnxruntime-node'] ?? '?',
    node: process.versions.node,
  };
}
