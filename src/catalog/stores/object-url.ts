/** Locations of catalogues in S3-compatible object storage. Apart from the engine, which not every command should load. */
import { DataError } from '../../util/index.js';

/** Whether a catalogue's location is object storage. */
export function isObjectUrl(location: string): boolean {
  return /^s3:\/\//i.test(location);
}

/**
 * The location as it is used: `s3://bucket/path`, without a slash at the end.
 * @throws DataError when it is no such address
 */
export function objectLocation(location: string): string {
  const found = /^s3:\/\/([a-z0-9][a-z0-9.-]+)\/([^?#\\]*[^?#\\/])\/*$/i.exec(location);
  if (found === null || found[2]?.split('/').some((part) => ['', '.', '..'].includes(part)))
    throw new DataError(
      `catalog: object storage must read s3://bucket/path, got ${location.replace(/\/\/[^/]*@/, '//…@')}. ` +
        'Who may use it is said by AWS_ACCESS_KEY_ID and the like, where it is by AWS_ENDPOINT_URL',
    );
  return `s3://${found[1]}/${found[2]}`;
}
