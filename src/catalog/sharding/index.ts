export { shardCatalog } from './sharding.js';
