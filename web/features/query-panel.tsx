/** The query: its picture with the crop on it, what else it is made of, and the trail that led here. */
import { computed, signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { AttributesResponse } from '../../src/client/index.js';
import { isAbort } from '../api.js';
import type { ExampleState } from '../state/location.js';
import { exampleKey, navigate, page, removeExample, returnTo } from '../state/page.js';
import { api, status, toPictureExample } from '../state/search.js';
import { strings as t } from '../strings.js';
import { Icon } from '../ui/icon.js';
import { CropStage } from './crop.js';
import { ExampleThumbnail, exampleLabel, useExampleAddress } from './example-picture.js';
import { Intake } from './intake.js';

type Subjects = AttributesResponse['subjects'];
const subjects = signal<{ key: string; found: Subjects }>({ key: '', found: [] });
/** What the model sees in the whole query picture; a search by id does not say it. */
export const predicted = signal<AttributesResponse['attributes']>([]);
/** It is known what the model sees, or that it will not be: what is laid out below can be. */
export const isSeen = computed(() => subjects.value.key !== '' || status.value === 'failed');

export function QueryPanel() {
  const { examples, trail } = page.value;
  const main = examples.find(({ weight }) => weight === 1);
  const others = examples.filter((example) => example !== main);
  if (main === undefined) return null;
  return (
    <section class="query" aria-labelledby="query-title">
      <div class="section-head">
        <h2 id="query-title">{t.query.title}</h2>
        <Intake isCompact />
      </div>
      <MainPicture example={main} />
      {others.length > 0 && (
        <div class="examples">
          <ExampleStrip title={t.query.more} examples={others.filter(({ weight }) => weight === 1)} />
          <ExampleStrip title={t.query.less} examples={others.filter(({ weight }) => weight === -1)} />
        </div>
      )}
      {trail.length > 0 && (
        <nav class="trail" aria-label={t.query.trail}>
          <h3>{t.query.trail}</h3>
          <ol class="strip">
            {trail.map((step) => (
              <li key={exampleKey(step)}>
                <button
                  type="button"
                  class="strip-link"
                  aria-label={t.query.trailStep(exampleLabel(step))}
                  title={exampleLabel(step)}
                  onClick={() => returnTo(step)}
                >
                  <ExampleThumbnail example={step} size={48} />
                </button>
                <Icon name="right" size={14} />
              </li>
            ))}
            <li aria-current="step">
              <ExampleThumbnail example={main} size={48} />
            </li>
          </ol>
        </nav>
      )}
    </section>
  );
}

// --- internal ---

function MainPicture({ example }: { example: ExampleState }) {
  const address = useExampleAddress(example);
  const whole = exampleKey({ ...example, region: undefined } as unknown as ExampleState);
  const isReady = status.value === 'ready';
  useEffect(() => {
    if (subjects.peek().key === whole || !isReady) return;
    const controller = new AbortController();
    const { region: _, ...unboxed } = example;
    void toPictureExample(unboxed as ExampleState)
      .then((sent) => (sent === null ? null : api.attributes(sent.example, controller.signal, sent.picture)))
      .then((answer) => {
        subjects.value = { key: whole, found: answer?.subjects ?? [] };
        predicted.value = answer?.attributes ?? [];
      })
      .catch((error) => {
        // Proposals are an offer; without them the picture can still be cropped.
        if (!isAbort(error)) subjects.value = { key: whole, found: [] };
      });
    return () => controller.abort();
  }, [whole, isReady]);
  if (address === null)
    return (
      <div class="stage stage-empty">
        <Icon name="search" size={32} />
        <p>{t.query.elsewhere}</p>
      </div>
    );
  return (
    <CropStage
      address={address}
      label={t.query.pictureOf(exampleLabel(example))}
      region={example.region}
      subjects={subjects.value.key === whole ? subjects.value.found.map(({ region }) => region) : []}
      onRegion={(region) => {
        const { examples } = page.peek();
        const { region: _, ...rest } = example;
        // Another part of the picture is another query: its vector is not known yet.
        const { vector: __, ...unknown } = rest as { vector?: string };
        const next = { ...unknown, ...(region === null ? {} : { region }) } as ExampleState;
        navigate(
          { examples: examples.map((one) => (one === example ? next : one)) },
          example.region === undefined || region === null ? 'push' : 'replace',
        );
      }}
    />
  );
}

function ExampleStrip({ title, examples }: { title: string; examples: readonly ExampleState[] }) {
  if (examples.length === 0) return null;
  const isLess = examples[0]?.weight === -1;
  return (
    <div>
      <h3>{title}</h3>
      <ul class="strip">
        {examples.map((example) => (
          <li key={exampleKey(example)} class={isLess ? 'example example-less' : 'example'}>
            <ExampleThumbnail example={example} size={56} />
            <span class="example-sign" aria-hidden="true">
              <Icon name={isLess ? 'minus' : 'plus'} size={12} />
            </span>
            <button
              type="button"
              class="example-remove"
              aria-label={t.query.removeExample(exampleLabel(example))}
              onClick={() => removeExample(example)}
            >
              <Icon name="close" size={14} />
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
