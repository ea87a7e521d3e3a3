/** Where the files of a catalogue lie that are no vectors: kept pictures, feedback, the audit log. */
import { join } from 'node:path';
import envPaths from 'env-paths';
import { sha256 } from '../util/index.js';
import { catalogName, isPostgresUrl, parseUrl } from './stores/postgres-url.js';

/**
 * The folder of a catalogue's files: the catalogue itself or, of one in a database, a folder of this machine among the
 * user's data (`XDG_DATA_HOME`), the same for every user name that the database is asked with.
 */
export function catalogFolder(location: string): string {
  if (!isPostgresUrl(location)) return location;
  const { host, pathname } = parseUrl(location);
  const name = catalogName(location);
  const readable = name.replace(/[^\w-]+/g, '-').slice(0, 40);
  const mark = sha256(JSON.stringify([host, pathname, name])).slice(0, 16);
  return join(envPaths('semblance', { suffix: '' }).data, 'catalogs', `${readable}-${mark}`);
}
