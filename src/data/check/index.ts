/** Checks of manifests and their pictures. */
export {
  type CheckOptions,
  type CheckReport,
  checkManifest,
  type DuplicateGroup,
} from './check-manifest.js';
export { type Finding, type FindingKind, roleOf } from './finding.js';
export { type AttributeSummary, RARE } from './inspect-rows.js';
export { type Repair, repairManifest } from './repair-manifest.js';
