/** `semblance catalog`: what is done with a whole catalogue. */
import { Command } from 'commander';
import { mapCommand } from './catalog/map.js';
import { tuneCommand } from './catalog/tune.js';

export function catalogCommand(): Command {
  return new Command('catalog')
    .description('look after a catalogue')
    .addCommand(mapCommand())
    .addCommand(tuneCommand())
    .addHelpText('after', '\nExample:\n  $ semblance catalog tune --catalog runs/demo/catalog\n');
}
