/** The reasons of one hit, over the results; the arrows go through the hits without closing it. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Example, Hit, Picture } from '../../src/client/index.js';
import type { ExampleState } from '../state/location.js';
import { levelAt } from '../state/location.js';
import { addExample, exampleKey, granularity, navigate, page, searchWith } from '../state/page.js';
import { api, hits, toPictureExample } from '../state/search.js';
import { strings as t } from '../strings.js';
import { Badge } from '../ui/badge.js';
import { Dialog } from '../ui/dialog.js';
import { Icon } from '../ui/icon.js';
import { pickToCompare } from './compare-tray.js';
import { exampleLabel, useExampleAddress } from './example-picture.js';
import { Pair } from './pair.js';
import { giveVerdict, verdicts } from './verdicts.js';

export function Why({ id }: { id: string }) {
  const main = page.value.examples.find(({ weight }) => weight === 1);
  return main === undefined ? null : <WhyOf id={id} main={main} />;
}

/** The pictures of two ids or of none, as the catalogue has them. */
export function usePicture(id: string | null): Picture | undefined {
  const [found, setFound] = useState<Picture>();
  useEffect(() => {
    if (id === null) return;
    const controller = new AbortController();
    api.picture(id, controller.signal).then(setFound, () => undefined);
    return () => controller.abort();
  }, [id]);
  return found?.id === id ? found : undefined;
}

// --- internal ---

function WhyOf({ id, main }: { id: string; main: ExampleState }) {
  const [sent, setSent] = useState<{ example: Example; picture?: Blob } | null>();
  const found = hits.value;
  const index = found.findIndex((hit) => hit.id === id);
  const hit: Hit | undefined = found[index];
  const key = exampleKey(main);
  useEffect(() => {
    let isGone = false;
    void toPictureExample(main).then((example) => {
      if (!isGone) setSent(example);
    });
    return () => {
      isGone = true;
    };
  }, [key]);
  const address = useExampleAddress(main, main.kind === 'id' ? 800 : undefined);
  const query = usePicture(main.kind === 'id' ? main.id : null);
  const gamma = granularity.value;
  const verdict = verdicts.value.get(id)?.verdict;
  const example = useMemo(() => ({ kind: 'id', id }) as const, [id]);
  const go = (to: number) => {
    const next = found[to];
    if (next !== undefined) navigate({ why: next.id }, 'replace');
  };
  return (
    <Dialog
      title={t.why.title}
      kind="wide"
      onClose={() => navigate({ why: null })}
      tools={
        <span class="dialog-tools">
          {hit !== undefined && <Badge hit={hit} level={levelAt(gamma)} />}
          <button
            type="button"
            class="icon-button"
            aria-label={t.why.previous}
            disabled={index <= 0}
            onClick={() => go(index - 1)}
          >
            <Icon name="left" />
          </button>
          <button
            type="button"
            class="icon-button"
            aria-label={t.why.next}
            disabled={index === -1 || index >= found.length - 1}
            onClick={() => go(index + 1)}
          >
            <Icon name="right" />
          </button>
        </span>
      }
    >
      <Pair
        left={{ title: t.why.query, label: exampleLabel(main), address, picture: query }}
        right={{ title: t.why.hit, label: hit?.itemId ?? id, address: api.imageUrl(id, 800), picture: hit }}
        sent={sent}
        id={id}
        granularity={gamma}
        edits={page.value.edits}
        hit={hit}
      />
      <div class="dialog-actions">
        <button
          type="button"
          class="button button-primary"
          onClick={() => searchWith({ ...example, weight: 1 })}
        >
          <Icon name="search" />
          {t.results.searchWith}
        </button>
        <button type="button" class="button" onClick={() => addExample({ ...example, weight: 1 })}>
          <Icon name="plus" />
          {t.results.moreLike}
        </button>
        <button type="button" class="button" onClick={() => addExample({ ...example, weight: -1 })}>
          <Icon name="minus" />
          {t.results.lessLike}
        </button>
        <button
          type="button"
          class="button"
          onClick={() => {
            navigate({ why: null }, 'replace');
            pickToCompare(id);
          }}
        >
          <Icon name="compare" />
          {t.results.compare}
        </button>
        <span class="dialog-verdicts">
          <button
            type="button"
            class="icon-button"
            aria-label={t.results.up}
            aria-pressed={verdict === 'up'}
            onClick={() => void giveVerdict(id, 'up')}
          >
            <Icon name="up" />
          </button>
          <button
            type="button"
            class="icon-button"
            aria-label={t.results.down}
            aria-pressed={verdict === 'down'}
            onClick={() => void giveVerdict(id, 'down')}
          >
            <Icon name="down" />
          </button>
        </span>
      </div>
    </Dialog>
  );
}
