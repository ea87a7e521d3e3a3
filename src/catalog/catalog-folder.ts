/** Where the files of a catalogue lie that are no vectors: kept pictures, feedback, the audit log. */
import { basename, join } from 'node:path';
import envPaths from 'env-paths';
import { sha256 } from '../util/index.js';
import { isRemote } from './remote-catalog.js';
import { isObjectUrl, objectLocation } from './stores/object-url.js';
import { catalogName, parseUrl } from './stores/postgres-url.js';

/**
 * The folder of a catalogue's files: the catalogue itself or, of one in no folder, a folder of this machine among the
 * user's data (`XDG_DATA_HOME`), the same for every user name that the database is asked with.
 */
export function catalogFolder(location: string): string {
  if (!isRemote(location)) return location;
  const [name, ...place] = isObjectUrl(location) ? objectNames(location) : databaseNames(location);
  const readable = name.replace(/[^\w-]+/g, '-').slice(0, 40);
  const mark = sha256(JSON.stringify([...place, name])).slice(0, 16);
  return join(envPaths('semblance', { suffix: '' }).data, 'catalogs', `${readable}-${mark}`);
}

// --- internal ---

function databaseNames(location: string): [string, ...string[]] {
  const { host, pathname } = parseUrl(location);
  return [catalogName(location), host, pathname];
}

function objectNames(location: string): [string, ...string[]] {
  const address = objectLocation(location);
  return [basename(address), process.env.AWS_ENDPOINT_URL ?? '', address];
}
