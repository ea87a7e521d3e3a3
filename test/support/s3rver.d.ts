/** s3rver ships no types; what the tests use of it. */
declare module 's3rver' {
  interface Context {
    readonly method: string;
    readonly path: string;
    readonly app: { readonly store: { existsObject(bucket: string, key: string): Promise<boolean> } };
    status: number;
    get(header: string): string;
  }
  export default class S3rver {
    readonly middleware: ((context: Context, next: () => Promise<void>) => Promise<void>)[];
    constructor(options: {
      readonly address: string;
      readonly port: number;
      readonly silent: boolean;
      readonly directory: string;
      readonly configureBuckets: readonly { readonly name: string }[];
    });
    /** Once it runs. */
    readonly httpServer: import('node:http').Server;
    run(): Promise<{ readonly port: number }>;
    close(): Promise<void>;
  }
}
