#!/usr/bin/env bash
# Makes test/golden/catalog: a catalogue, its model and its pictures as semblance wrote them before there were live
# catalogues, ranges, calibrations and PostgreSQL. It was made once, from the commit below, and is not to be made again: that the
# present code reads it is what its test is for.   bash test/golden/make-catalog.sh
set -euo pipefail
commit=284f8cd762638cb305ebf8e2098a7a7848045371
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
old=$(mktemp -d)/tree
# Paths are absolute in a catalogue, so it is made where anybody could have made it.
made=/tmp/semblance-golden
trap 'git -C "$root" worktree remove --force "$old"; rm -rf "$made"' EXIT
git -C "$root" worktree add --quiet --detach "$old" "$commit"
ln -s "$(readlink -f "$root/node_modules")" "$old/node_modules"
rm -rf "$made" "$here/catalog"
mkdir -p "$made/pictures"
cat >"$old/make.ts" <<'PROGRAM'
import { writeFile } from 'node:fs/promises';
import { plainPicture, writeTinyBundle } from './test/support/tiny-bundle.ts';
const out = process.argv[2] as string;
await writeTinyBundle(out);
const lines = ['path,item_id,split,hue,tags,price'];
for (const [h, hue] of ['red', 'green', 'blue'].entries())
  for (let shade = 0; shade < 4; shade++) {
    const colour = [0, 1, 2].map((c) => (c === h ? 250 - 25 * shade : 18 * shade)) as [number, number, number];
    const path = `pictures/${hue}-${shade}.png`;
    await writeFile(`${out}/${path}`, await plainPicture(colour, { width: 24, height: 16 }));
    lines.push(`${path},${hue}-${shade},test,${hue},${shade < 2 ? 'bright' : ''},${10 * h + shade}`);
  }
await writeFile(`${out}/manifest.csv`, `${lines.join('\n')}\n`);
PROGRAM
cd "$old"
npx tsx make.ts "$made"
npx tsx src/cli/main.ts index --model "$made/model" --data "$made/manifest.csv" --catalog "$made/catalog" --quiet
npx tsx src/cli/main.ts search --catalog "$made/catalog" "$made/pictures/red-1.png" --json >"$made/found.json"
cp -r "$made" "$here/catalog"
