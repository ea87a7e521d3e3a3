/** Locations of catalogues in a database. Apart from the driver, which not every command should load. */
import { DataError } from '../../util/index.js';

/** Whether a catalogue's location is a database. */
export function isPostgresUrl(location: string): boolean {
  return /^postgres(ql)?:\/\//i.test(location);
}

/** A URL without its password and without its query, for messages. */
export function describeUrl(url: string): string {
  try {
    const { protocol, username, host, pathname, hash } = new URL(url);
    return `${protocol}//${username === '' ? '' : `${username}@`}${host}${pathname}${hash}`;
  } catch {
    return 'postgres://…';
  }
}

/** The catalogue's name in a URL, `postgres://host/database#name`. Default `default`. */
export function catalogName(url: string): string {
  const { hash } = parseUrl(url);
  return hash === '' ? 'default' : decodeURIComponent(hash.slice(1));
}

/** @throws DataError when it is no URL; what was given is not in the message, for it may hold a password */
export function parseUrl(url: string): URL {
  try {
    return new URL(url);
  } catch {
    throw new DataError(
      'catalog: a database must read postgres://user@host:port/database#catalogue, and what was given does not. ' +
        'Percent-encode special characters, in a password too',
    );
  }
}
