import { vectorStoreConformance } from '../../../test/conformance/vector-store.js';
import { openMemoryStore } from './memory.js';

vectorStoreConformance('memory', { open: async (_, shape) => openMemoryStore(shape), persistent: false });
