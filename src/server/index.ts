export { KeyRing } from './access/key-ring.js';
export {
  addKey,
  defaultKeysPath,
  isExpired,
  isValid,
  readKeys,
  revokeKey,
  rotateKey,
  SCOPES,
  type Scope,
  type StoredKey,
} from './access/keys.js';
export { DEFAULT_LIMITS, type Limits, type Server } from './context.js';
export * from './contract.js';
export { HttpError, PROBLEMS, type ProblemCode } from './errors.js';
export { FEEDBACK_FILE, FeedbackLog } from './feedback-log.js';
export { LOG_LEVELS, type LogLevel, type LogOptions } from './logging.js';
export { buildServer, type ServerOptions } from './server.js';
export { openTracing, type Tracing, type TracingOptions } from './tracing.js';
