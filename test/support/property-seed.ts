/** Property tests draw the same cases at every run; `SEMBLANCE_PROPERTY_SEED=random` draws new ones, which finds more. */
import fc from 'fast-check';

const DEFAULT_SEED = 20_261_124;
const given = process.env.SEMBLANCE_PROPERTY_SEED;
if (given !== 'random') fc.configureGlobal({ seed: given === undefined ? DEFAULT_SEED : Number(given) });
