import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  add,
  buildGraph,
  cast,
  constant,
  convolution,
  type DataType,
  exponential,
  gather,
  gradients,
  identity,
  input,
  matmul,
  multiply,
  reduceMean,
  reduceSum,
  type Value,
} from '../graph/index.js';
import { GraphError, Random } from '../util/index.js';
import { floatTensor, Session, StatefulSession, type Tensor } from './session.js';
import { writeModel } from './write.js';

const opened: { close(): Promise<void> }[] = [];
afterAll(async () => {
  for (const session of opened) await session.close();
});

async function sessionOf(inputs: readonly Value[], outputs: Record<string, Value>): Promise<Session> {
  const session = await Session.create(writeModel(buildGraph(inputs, outputs)), { threads: 1 });
  opened.push(session);
  return session;
}

/** The elements of an output; none when it is missing. */
const listOf = (tensor: Tensor | undefined): number[] =>
  Array.from((tensor?.data ?? []) as ArrayLike<number | bigint>, Number);
const vector = (...numbers: number[]) => floatTensor(Float32Array.from(numbers), [numbers.length]);
const x = input('x', 'float32', [2]);

describe('Session', () => {
  it('names its inputs and outputs, and gives those asked for', async () => {
    const session = await sessionOf([x], { y: exponential(x), z: add(x, x) });
    expect(session.inputNames).toEqual(['x']);
    expect(session.outputNames).toEqual(['y', 'z']);
    expect(Object.keys(await session.run({ x: vector(1, 2) }, ['z']))).toEqual(['z']);
    expect((await session.run({ x: vector(1, 2) })).z).toEqual(vector(2, 4));
  });

  it('writes into memory that is given', async () => {
    const session = await sessionOf([x], { y: add(x, x) });
    const y = vector(0, 0);
    await session.run({ x: vector(1, 2) }, { y });
    expect([...y.data]).toEqual([2, 4]);
  });

  it.each<[DataType, Tensor['data']]>([
    ['float32', Float32Array.from([1.5, -2])],
    ['int64', BigInt64Array.from([2n ** 60n, -1n])],
    ['int32', Int32Array.from([7, -8])],
    ['uint8', Uint8Array.from([0, 255])],
    ['bool', Uint8Array.from([1, 0])],
    ['float16', Uint16Array.from([0x3c00, 0xc000])],
  ])('passes %s tensors in and out', async (dataType, data) => {
    const value = input('v', dataType, [2]);
    const session = await sessionOf([value], { same: identity(value), numbers: cast(value, 'float32') });
    const run = session.run({ v: { dataType, shape: [2], data } });
    if (dataType === 'float16' && 'Float16Array' in globalThis) {
      await expect(run).rejects.toThrow(/^Session\.run: 'v' must not be float16 on Node .* Cast\.$/);
      return;
    }
    const { same, numbers } = await run;
    expect(same?.dataType).toBe(dataType);
    expect(new Uint8Array(same?.data.buffer as ArrayBuffer, same?.data.byteOffset, data.byteLength)).toEqual(
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    );
    if (dataType !== 'float16') expect(listOf(numbers)).toEqual(Array.from(data as Int32Array, Number));
    else expect(listOf(numbers)).toEqual([1, -2]);
  });

  it('passes scalars and nothing', async () => {
    const scalar = input('s', 'float32', []);
    const empty = input('e', 'float32', [0, 3]);
    const session = await sessionOf([scalar, empty], { s2: add(scalar, scalar), e2: add(empty, scalar) });
    const { s2, e2 } = await session.run({
      s: floatTensor(Float32Array.of(4), []),
      e: floatTensor(new Float32Array(0), [0, 3]),
    });
    expect([s2?.shape, listOf(s2)]).toEqual([[], [8]]);
    expect([e2?.shape, e2?.data.length]).toEqual([[0, 3], 0]);
  });

  it('loads a file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'session-test-'));
    const file = join(folder, 'model.onnx');
    await writeFile(file, writeModel(buildGraph([x], { y: exponential(x) })));
    const session = await Session.create(file, { threads: 1 });
    expect((await session.run({ x: vector(0, 0) })).y).toEqual(vector(1, 1));
    await session.close();
    await rm(folder, { recursive: true });
    await expect(Session.create(file)).rejects.toThrow(GraphError);
  });

  it('at one thread gives the same bits each time, in each session', async () => {
    const random = Random.from(1);
    const numbers = (count: number) => Float32Array.from({ length: count }, () => random.normal());
    const picture = input('picture', 'float32', [4, 8, 17, 17]);
    const kernel = input('kernel', 'float32', [16, 8, 3, 3]);
    const weight = constant(numbers(16 * 32), [16, 32]);
    const loss = reduceMean(
      exponential(
        matmul(reduceMean(convolution(picture, kernel, undefined, { padding: 1 }), [2, 3]), weight),
      ),
      'all',
    );
    const outputs = { loss, byKernel: gradients(loss, [kernel])[0] as Value };
    const feeds = {
      picture: floatTensor(numbers(4 * 8 * 17 * 17), [4, 8, 17, 17]),
      kernel: floatTensor(numbers(16 * 8 * 9), [16, 8, 3, 3]),
    };
    const first = await sessionOf([picture, kernel], outputs);
    const second = await sessionOf([picture, kernel], outputs);
    const expected = await first.run(feeds);
    for (const session of [first, first, second]) expect(await session.run(feeds)).toEqual(expected);
  });

  describe('refuses in one line', () => {
    const refused = async (run: Promise<unknown>, message: RegExp) => {
      const error = await run.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(GraphError);
      expect((error as Error).message).toMatch(message);
      expect((error as Error).message).not.toContain('\n');
    };

    it('what is no model', async () => {
      await refused(Session.create(Buffer.from('not a model')), /^Session: the model must load/);
      await refused(Session.create(new Uint8Array()), /^Session: the model must load/);
    });

    it('feeds that are missing, of another shape, of another type, or unknown', async () => {
      const session = await sessionOf([x], { y: exponential(x) });
      await refused(session.run({}), /^Session.run: .*'?x/);
      await refused(session.run({ x: vector(1, 2, 3) }), /^Session.run: /);
      await refused(
        session.run({ x: { dataType: 'int32', shape: [2], data: Int32Array.of(1, 2) } }),
        /^Session.run: /,
      );
      await refused(session.run({ x: vector(1, 2) }, ['z']), /^Session.run: .*z/);
    });

    it('a tensor whose elements are not as many or not of the kind it says', async () => {
      const session = await sessionOf([x], { y: exponential(x) });
      await refused(
        session.run({ x: floatTensor(Float32Array.of(1), [2]) }),
        /'x' must have the elements of \[2\], got 1/,
      );
      await refused(
        session.run({ x: { dataType: 'float32', shape: [2], data: BigInt64Array.of(1n, 2n) } }),
        /'x' must hold float32 elements, got a BigInt64Array/,
      );
    });
  });
});

describe('StatefulSession', () => {
  const weight = input('w', 'float32', [2]);
  const count = input('count', 'int64', []);
  const index = input('index', 'int64', [1]);

  /** w ← w + table[index], count ← count + 1; an index outside the table fails while it runs. */
  async function counting(): Promise<StatefulSession> {
    const table = constant([1, 10, 100, 1000], [2, 2]);
    const row = gather(table, index);
    const session = await sessionOf([weight, count, index], {
      loss: reduceSum(multiply(weight, row), 'all'),
      'next.w': reduceSum(add(weight, row), [0]),
      'next.count': add(count, constant(1, [], { dataType: 'int64' })),
    });
    return new StatefulSession(session, {
      w: vector(0, 0),
      count: { dataType: 'int64', shape: [], data: BigInt64Array.of(0n) },
    });
  }
  const step = (session: StatefulSession, at: number) =>
    session.step({ index: { dataType: 'int64', shape: [1], data: BigInt64Array.of(BigInt(at)) } });
  const now = (session: StatefulSession) => {
    const { w, count: steps } = session.state();
    return [...listOf(w), Number(steps?.data[0])];
  };

  it('goes from state to state, and gives the other outputs', async () => {
    const session = await counting();
    expect(now(session)).toEqual([0, 0, 0]);
    expect(Object.keys(await step(session, 0))).toEqual(['loss']);
    expect(now(session)).toEqual([1, 10, 1]);
    expect(listOf((await step(session, 1)).loss)).toEqual([10_100]);
    expect(now(session)).toEqual([101, 1010, 2]);
    await step(session, 0);
    expect(now(session)).toEqual([102, 1020, 3]);
  });

  it('keeps its state when a step fails, and goes on', async () => {
    const session = await counting();
    await step(session, 0);
    await expect(step(session, 7)).rejects.toThrow(GraphError);
    expect(now(session)).toEqual([1, 10, 1]);
    await expect(session.step({})).rejects.toThrow(GraphError);
    expect(now(session)).toEqual([1, 10, 1]);
    await step(session, 1);
    expect(now(session)).toEqual([101, 1010, 2]);
  });

  it('has two buffers that change places, and leaves those it was given alone', async () => {
    const given = vector(1, 1);
    const session = new StatefulSession(await sessionOf([weight], { 'next.w': add(weight, weight) }), {
      w: given,
    });
    const buffers: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      buffers.push(session.state().w?.data);
      await session.step({});
    }
    expect(buffers[0]).toBe(buffers[2]);
    expect(buffers[1]).toBe(buffers[3]);
    expect(buffers[0]).not.toBe(buffers[1]);
    expect([...given.data]).toEqual([1, 1]);
    expect(listOf(session.state().w)).toEqual([16, 16]);
  });

  it('carries a state that does not change', async () => {
    const session = new StatefulSession(
      await sessionOf([weight], { 'next.w': weight, twice: add(weight, weight) }),
      {
        w: vector(3, 4),
      },
    );
    for (let i = 0; i < 3; i++) expect(listOf((await session.step({})).twice)).toEqual([6, 8]);
    expect(listOf(session.state().w)).toEqual([3, 4]);
  });

  it('refuses a state that the model does not have', async () => {
    const session = new StatefulSession(await sessionOf([weight], { 'next.w': weight }), {
      w: vector(3, 4),
      other: vector(1, 1),
    });
    await expect(session.step({})).rejects.toThrow(GraphError);
  });
});
