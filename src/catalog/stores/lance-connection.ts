/**
 * Connections to LanceDB, in a folder or in object storage: each read asks for the newest version, so a reader sees what a
 * writer elsewhere has acknowledged, and what Lance keeps in memory is bounded.
 */
import { type Connection, connect, Session, type Table } from '@lancedb/lancedb';
import { errorMessage } from '../../util/index.js';

/**
 * Connects to the tables of a folder or of a place in object storage.
 * @param options.metadataBytes what Lance may keep of tables' descriptions. Each write makes a new one, of 100 kB for thirty
 *   columns, and Lance's own bound of 1 GB let a server that is written to grow for a day. Default 64,000,000.
 * @returns also the session, which knows how much is kept.
 */
export async function connectLance(
  address: string,
  {
    metadataBytes = 64_000_000,
    storageOptions,
  }: { readonly metadataBytes?: number; readonly storageOptions?: Record<string, string> } = {},
): Promise<{ connection: Connection; session: Session }> {
  const session = new Session(null, BigInt(metadataBytes));
  const connection = await connect(address, {
    readConsistencyInterval: 0,
    session,
    ...(storageOptions === undefined ? {} : { storageOptions }),
  });
  return { connection, session };
}

/** A connection to object storage. */
export async function connectObjectStorage(address: string): Promise<Connection> {
  return (await connectLance(address, { storageOptions: objectStorageOptions() })).connection;
}

/** Opens a table of object storage, where not every server lists what there is. @returns `undefined` when there is none */
export async function openIfThere(connection: Connection, name: string): Promise<Table | undefined> {
  return await connection.openTable(name).catch((error) => {
    if (/^Table '.*' was not found/.test(errorMessage(error))) return undefined;
    throw error;
  });
}

// --- internal ---

/** How object storage is reached. Credentials, region and endpoint LanceDB takes from the `AWS_*` variables itself. */
function objectStorageOptions(): Record<string, string> {
  const endpoint = process.env.AWS_ENDPOINT_URL;
  const region = process.env.AWS_REGION ?? process.env.AWS_DEFAULT_REGION;
  return {
    ...(endpoint?.startsWith('http://') ? { allow_http: 'true' } : {}),
    // Of another's storage nobody asks for a region, and LanceDB would ask the bucket for it.
    ...(endpoint !== undefined && region === undefined ? { region: 'us-east-1' } : {}),
  };
}
