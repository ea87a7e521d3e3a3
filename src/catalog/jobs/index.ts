export * from './embedding-jobs.js';
