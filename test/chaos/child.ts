/** The process that is killed: `child.js <kind> <folder> <seed…>`. */
import { Random } from '../../src/util/index.js';
import { KINDS, type Kind } from './kinds.js';
import { stdoutTeller } from './workload.js';

const [kind = '', folder = '', ...seed] = process.argv.slice(2);
const workload = await KINDS[kind as Kind]();
await workload.work(folder, Random.from(...seed.map(Number)), stdoutTeller());
