/**
 * `semblance gradients`: the outputs of an ONNX file's network and its gradients by all parameters and float inputs, as
 * `.npy` files with an index, to hold against another framework's.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { fileGradients } from '../models/index.js';
import { readModelFile, type Tensor } from '../onnx/index.js';
import {
  CliError,
  DataError,
  errorMessage,
  float16ToFloat32,
  type NpyArray,
  readNpy,
  writeJson,
  writeNpy,
} from '../util/index.js';
import { positiveInteger, repeated } from './options.js';
import { versions } from './versions.js';

interface Options {
  input: readonly string[];
  outputGradient?: readonly string[];
  out: string;
  threads?: number;
  json?: true;
}

export function gradientsCommand(): Command {
  return new Command('gradients')
    .description('run an ONNX network forwards and backwards, and write outputs and gradients as .npy')
    .argument('<model>', 'an .onnx file')
    .requiredOption('--input <name=file.npy>', 'the array of an input; once for every input', repeated)
    .option(
      '--output-gradient <name=file.npy>',
      'gradient of the loss by an output, of its shape; outputs without one add nothing (default: 1 where the only output is one number)',
      repeated,
    )
    .requiredOption('--out <folder>', 'where to write the arrays and index.json')
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print index.json')
    .addHelpText('after', HELP)
    .action(run);
}

// --- internal ---

const HELP = `
What is differentiated is the sum of outputs times their gradients. Parameters are the weights, biases, scales and tables
that training may change: not running statistics, limits and masks. index.json names the file of every array:
  { "outputs": { name: file }, "gradients": { "parameters": { name: file }, "inputs": { name: file } }, "shapes": … }

The same in torch, on the module that was exported:
  pixels = torch.from_numpy(numpy.load('pixels.npy')).requires_grad_()
  module.eval()(pixels).backward(torch.from_numpy(numpy.load('dlogits.npy')))
  index = json.load(open('gradients/index.json'))['gradients']
  for name, parameter in module.named_parameters():
      if name in index['parameters']:
          ours = numpy.load('gradients/' + index['parameters'][name])
          print(name, abs(ours - parameter.grad.numpy()).max())
Export with training=torch.onnx.TrainingMode.PRESERVE and do_constant_folding=False, so that the file keeps torch's
names; otherwise batch normalisation is folded into the weights before it.

Example:
  $ semblance gradients resnet18.onnx --input pixels=pixels.npy --output-gradient logits=dlogits.npy --out gradients
`;

async function run(model: string, options: Options): Promise<void> {
  const inputFiles = assignments('--input', options.input);
  const gradientFiles = assignments('--output-gradient', options.outputGradient ?? []);
  const file = await readModelFile(model);
  const results = await fileGradients(
    file.graph,
    await arrays(inputFiles),
    await arrays(gradientFiles),
    options.threads === undefined ? {} : { threads: options.threads },
  );

  const indexFile = join(options.out, 'index.json');
  try {
    await mkdir(options.out, { recursive: true });
    await rm(indexFile, { force: true }); // it is written last, and must not list what an earlier run left
  } catch (error) {
    throw new DataError(`cannot be written: ${errorMessage(error)}`, { file: options.out, cause: error });
  }
  const write = async (kind: string, tensors: ReadonlyMap<string, Tensor>) => {
    const entries: [string, { file: string; shape: readonly number[] }][] = [];
    for (const [name, tensor] of tensors) {
      const written = fileName(kind, entries.length, name);
      await writeNpy(join(options.out, written), npyArray(tensor));
      entries.push([name, { file: written, shape: tensor.shape }]);
    }
    return entries;
  };
  const outputs = await write('output', results.outputs);
  const parameters = await write('parameter', results.parameters);
  const inputs = await write('input', results.inputs);
  const index = {
    outputs: column(outputs, 'file'),
    gradients: { parameters: column(parameters, 'file'), inputs: column(inputs, 'file') },
    shapes: {
      outputs: column(outputs, 'shape'),
      gradients: { parameters: column(parameters, 'shape'), inputs: column(inputs, 'shape') },
    },
    model: { file: model, producer: file.producer, opset: file.opsetVersion },
    versions: versions(),
  };
  await writeJson(indexFile, index);
  if (options.json) process.stdout.write(`${JSON.stringify(index, null, 2)}\n`);
  else {
    const numbers = [...results.parameters.values()].reduce((sum, { data }) => sum + data.length, 0);
    process.stdout.write(
      `${indexFile}: ${outputs.length} outputs, gradients of ${parameters.length} parameters (${numbers} numbers) and ${inputs.length} inputs\n`,
    );
  }
}

/** `name=file` pairs. A name may hold `=`: the file is what follows the last one. */
function assignments(flag: string, texts: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const text of texts) {
    const at = text.lastIndexOf('=');
    if (at < 1 || at === text.length - 1) {
      throw new CliError(`gradients ${flag}: must be name=file.npy, got '${text}'`);
    }
    const name = text.slice(0, at);
    if (found.has(name)) throw new CliError(`gradients ${flag}: each name once, got '${name}' twice`);
    found.set(name, text.slice(at + 1));
  }
  return found;
}

async function arrays(files: ReadonlyMap<string, string>): Promise<Record<string, Tensor>> {
  const entries: [string, Tensor][] = [];
  for (const [name, file] of files) entries.push([name, await readNpy(file)]);
  return Object.fromEntries(entries);
}

function npyArray({ dataType, shape, data }: Tensor): NpyArray {
  if (dataType === 'float16') {
    return { dataType: 'float32', shape, data: float16ToFloat32(data as Uint16Array) };
  }
  return { dataType, shape, data } as NpyArray;
}

/** Safe on any file system, and different for any two: the number makes it so, whatever letters a name has. */
function fileName(kind: string, number: number, name: string): string {
  const readable = name.replace(/[^A-Za-z0-9._-]+/g, '_').slice(0, 100);
  return `${kind}-${String(number).padStart(4, '0')}-${readable}.npy`;
}

function column<K extends 'file' | 'shape'>(
  entries: readonly [string, Record<K, unknown>][],
  key: K,
): Record<string, unknown> {
  return Object.fromEntries(entries.map(([name, entry]) => [name, entry[key]]));
}
