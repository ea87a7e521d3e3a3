export { DEFAULT_LIMITS, type Limits, type Server } from './context.js';
export * from './contract.js';
export { HttpError, PROBLEMS, type ProblemCode } from './errors.js';
export { FEEDBACK_FILE, FeedbackLog } from './feedback-log.js';
export { buildServer, type ServerOptions } from './server.js';
