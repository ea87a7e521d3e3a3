/** `semblance catalog`: what is done with a whole catalogue. */
import { Command } from 'commander';
import { addCommand } from './catalog/add.js';
import { duplicatesCommand } from './catalog/duplicates.js';
import { exportCatalogCommand } from './catalog/export.js';
import { importCommand } from './catalog/import.js';
import { listCommand } from './catalog/list.js';
import { mapCommand } from './catalog/map.js';
import { removeCommand } from './catalog/remove.js';
import { shardCommand } from './catalog/shard.js';
import { statsCommand } from './catalog/stats.js';
import { tuneCommand } from './catalog/tune.js';
import { verifyCommand } from './catalog/verify.js';

export function catalogCommand(): Command {
  return new Command('catalog')
    .description('look after a catalogue')
    .addCommand(statsCommand())
    .addCommand(listCommand())
    .addCommand(addCommand())
    .addCommand(removeCommand())
    .addCommand(exportCatalogCommand())
    .addCommand(importCommand())
    .addCommand(verifyCommand())
    .addCommand(duplicatesCommand())
    .addCommand(mapCommand())
    .addCommand(tuneCommand())
    .addCommand(shardCommand())
    .addHelpText('after', '\nExample:\n  $ semblance catalog stats --catalog runs/demo/catalog\n');
}
