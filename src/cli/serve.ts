/** `semblance serve`: the HTTP API and the page on a catalogue. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { catalogFolder, isObjectUrl, LiveCatalog } from '../catalog/index.js';
import {
  buildServer,
  defaultKeysPath,
  KeyRing,
  LOG_LEVELS,
  type LogLevel,
  type LogOptions,
  openTracing,
  type Tracing,
} from '../server/index.js';
import { CliError, DataError, errorMessage, stopwatch } from '../util/index.js';
import {
  hostName,
  nonNegativeInteger,
  origin,
  positiveInteger,
  repeated,
  repeatedAs,
  wholeNumber,
} from './options.js';
import { tellWait } from './waiting.js';

export interface ServeOptions {
  catalog: string;
  model?: string;
  port: number;
  host: string;
  open?: true;
  readOnly?: true;
  allowUrl?: true;
  urlHost?: readonly string[];
  cors?: readonly string[];
  /** `false`: --no-keys. */
  keys?: string | false;
  rateLimit?: number;
  /** `false`: --no-audit. */
  audit?: string | boolean;
  hostName?: readonly string[];
  trustProxy?: readonly string[];
  log?: LogLevel;
  traces?: string;
  threads?: number;
  json?: true;
  quiet?: true;
}

export function serveCommand(): Command {
  return new Command('serve')
    .description('serve a catalogue: the page to search it with, and the HTTP API')
    .requiredOption('--catalog <folder>', 'the catalogue, made by `semblance index`')
    .option('--model <folder>', 'the model bundle (default: the one the catalogue was made with)')
    .option('--port <number>', '0 takes any that is free', wholeNumber(0, 65_535), 7700)
    .option('--host <address>', 'where to listen; 0.0.0.0 lets others in, with keys', '127.0.0.1')
    .option('--keys <file>', 'demand a key of this file (default: only of others than this machine)')
    .option('--no-keys', 'demand no key, whoever can reach the port')
    .option(
      '--rate-limit <count>',
      `requests a minute of a key, and of an address; 0: any number (default: ${RATE_LIMIT} where keys are demanded)`,
      nonNegativeInteger,
    )
    .option('--audit <file>', 'where every write is told (default: audit.jsonl in the catalogue)')
    .option('--no-audit', 'tell writes nowhere')
    .option('--open', 'open the page in the browser')
    .option('--read-only', 'refuse all writes, feedback included')
    .option('--allow-url', 'fetch pictures that are given as URLs (public addresses only)')
    .option(
      '--url-host <name>',
      'with --allow-url: only from this host and those below it (may be given again)',
      repeatedAs(hostName),
    )
    .option(
      '--cors <origin>',
      'let pages of this origin call the API (may be given again)',
      repeatedAs(origin),
    )
    .option(
      '--host-name <name>',
      'a name that this machine is reached by, beside localhost (may be given again)',
      repeatedAs(hostName),
    )
    .option(
      '--trust-proxy <address>',
      'a proxy whose X-Forwarded headers are true (may be given again)',
      repeated,
    )
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .addOption(
      new Option('--log <level>', 'log JSON lines on stderr; info: each request').choices(LOG_LEVELS),
    )
    .option(
      '--traces <url>',
      'send OpenTelemetry traces to this collector, e.g. http://127.0.0.1:4318 (default: OTEL_EXPORTER_OTLP_ENDPOINT)',
    )
    .option('--json', 'log each request as JSON lines on stdout')
    .option('--quiet', 'print nothing but errors')
    .addHelpText(
      'after',
      '\nOn this machine no key is asked for. With --host, one is: make it with `semblance keys add`. Ctrl-C finishes what\n' +
        'was accepted, and ends.\n\nExamples:\n' +
        '  $ semblance serve --catalog runs/demo/catalog --open\n' +
        '  $ semblance serve --catalog runs/demo/catalog --host 0.0.0.0 --keys keys.json\n',
    )
    .action(serve);
}

/** Serves until the process is asked to stop. */
export async function serve(options: ServeOptions): Promise<void> {
  const { host, port } = options;
  // One writer for all machines; see docs/scaling.md.
  const readOnly = options.readOnly === true || isObjectUrl(options.catalog);
  if (options.urlHost !== undefined && options.allowUrl !== true)
    throw new DataError('serve: --url-host needs --allow-url, got it alone. Add --allow-url');
  const say = (line: string) => {
    if (options.quiet !== true) process.stderr.write(`${line}\n`);
  };
  const keys = await keysOf(options);
  const rateLimit = options.rateLimit ?? (keys === undefined ? 0 : RATE_LIMIT);
  const catalog = await LiveCatalog.open(options.catalog, {
    ...(options.model === undefined ? {} : { model: options.model }),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    onEvent(event) {
      if (event.kind === 'switched') say(`the catalogue has moved to the model ${event.to.slice(0, 12)}`);
      if (event.kind === 'waiting') tellWait(options.catalog)(event);
      if (event.kind === 'failed') process.stderr.write(`warning: ${event.reason}\n`);
    },
  });
  const warm = warming(catalog, say);
  let tracing: Tracing | undefined;
  try {
    tracing = await tracingOf(options);
    const server = await buildServer({
      catalog,
      ...(tracing === undefined ? {} : { tracing }),
      page: PAGE,
      readOnly,
      allowUrls: options.allowUrl === true && (options.urlHost === undefined || { hosts: options.urlHost }),
      origins: options.cors ?? [],
      log: logOf(options),
      ready: warm.done,
      ...(keys === undefined ? {} : { keys }),
      ...(rateLimit === 0 ? {} : { requestsPerMinute: rateLimit }),
      ...(readOnly || options.audit === false
        ? {}
        : {
            audit:
              typeof options.audit === 'string'
                ? options.audit
                : join(catalogFolder(catalog.directory), 'audit.jsonl'),
          }),
      ...(options.trustProxy === undefined ? {} : { trustedProxies: options.trustProxy }),
      ...(isLoopback(host) || options.hostName !== undefined
        ? { hosts: [...LOOPBACK_NAMES, ...(options.hostName ?? [])] }
        : {}),
    });
    const stopped = untilAsked();
    try {
      const url = await server.listen({ port, host }).catch((error) => {
        throw new DataError(`serve: ${host}:${port} cannot be listened on: ${errorMessage(error)}`);
      });
      const pictures = await catalog.use(({ catalog: { store } }) => store.count());
      say(`${url}  ${pictures} pictures, model ${catalog.current.id.slice(0, 12)}`);
      warm.begin();
      if (keys !== undefined) say(`a key of ${keys.path} is asked for`);
      else if (!isLoopback(host)) {
        const can = readOnly ? 'search' : 'search and change';
        process.stderr.write(
          `warning: whoever reaches ${host}:${port} can ${can} this catalogue: there are no keys\n`,
        );
      }
      if (options.open === true) openBrowser(url);
      await stopped;
      say('stopping: what was accepted is finished (again to end at once)');
    } finally {
      await server.close();
    }
  } finally {
    await tracing?.close();
    await catalog.close();
  }
}

// --- internal ---

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]', '::1'];
/** What takes longer is announced. */
const PATIENCE_MS = 2000;
/** Where the build puts the page. */
const PAGE = fileURLToPath(new URL('../../dist/web', import.meta.url));

/** Requests a minute of a key, and of an address: a page of 48 pictures twenty times. */
const RATE_LIMIT = 1200;

/**
 * The keys that are demanded; undefined: none.
 * @throws CliError when others could reach the port, and there are no keys
 */
async function keysOf({ host, keys }: ServeOptions): Promise<KeyRing | undefined> {
  if (keys === false || (keys === undefined && isLoopback(host))) return undefined;
  const ring = new KeyRing(keys ?? defaultKeysPath());
  if ((await ring.validKeys()).length === 0)
    throw new CliError(
      `serve: ${keys === undefined ? `--host ${host} lets others in, which demands a key` : '--keys must name a file with a valid key'}, ` +
        `got none in ${ring.path}. Make one with \`semblance keys add\`${keys === undefined ? ', or say --no-keys' : ''}`,
    );
  return ring;
}

/** Traces, where a collector is named. @throws CliError when that is no address */
async function tracingOf({ traces }: ServeOptions): Promise<Tracing | undefined> {
  const environment = process.env;
  const named =
    environment.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? environment.OTEL_EXPORTER_OTLP_ENDPOINT ?? '';
  if (traces === undefined && (named === '' || environment.OTEL_SDK_DISABLED === 'true')) return undefined;
  if (traces !== undefined && !/^https?:$/.test(URL.canParse(traces) ? new URL(traces).protocol : ''))
    throw new CliError(`--traces: must be an address like http://127.0.0.1:4318, got '${traces}'`);
  return await openTracing({
    endpoint: traces,
    onFailure: (reason) => process.stderr.write(`warning: traces cannot be sent: ${reason}\n`),
  });
}

function logOf({ json, log }: ServeOptions): LogOptions {
  return {
    ...(json === true ? { level: 'info', stream: process.stdout } : {}),
    ...(log === undefined ? {} : { level: log }),
  };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Reading the catalogue into memory, once the server listens: `done` comes true when searches are at full speed. */
function warming(catalog: LiveCatalog, say: (line: string) => void): { done: Promise<void>; begin(): void } {
  let finish = () => {};
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const begin = () => {
    const seconds = stopwatch();
    const patience = setTimeout(
      () => say('reading the catalogue into memory; searches are answered meanwhile, slower'),
      PATIENCE_MS,
    );
    catalog
      .warm()
      .then(() => say(`ready after ${seconds().toFixed(1)} s`))
      // Searches go to the disk then; the store says the same to whoever searches.
      .catch((error) => {
        process.stderr.write(`warning: the catalogue cannot be read into memory: ${errorMessage(error)}\n`);
      })
      .finally(() => {
        clearTimeout(patience);
        finish();
      });
  };
  return { done, begin };
}

/** Resolves on Ctrl-C or a polite kill; the second ends at once. */
function untilAsked(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const stop = () => {
      if (asked) process.exit(130);
      asked = true;
      resolve();
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
  });
}

function openBrowser(url: string): void {
  const [command, ...parameters] =
    process.platform === 'darwin'
      ? ['open', url]
      : process.platform === 'win32'
        ? ['cmd', '/c', 'start', '', url]
        : ['xdg-open', url];
  const child = spawn(command as string, parameters, { stdio: 'ignore', detached: true });
  child.on('error', () => process.stderr.write(`open ${url} in a browser\n`));
  child.unref();
}
