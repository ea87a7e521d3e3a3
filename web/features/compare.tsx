/** Two pictures of the catalogue side by side, at the slider's granularity. */
import { useEffect, useMemo } from 'preact/hooks';
import { granularity, navigate, page } from '../state/page.js';
import { api } from '../state/search.js';
import { strings as t } from '../strings.js';
import { Icon } from '../ui/icon.js';
import { Message } from '../ui/states.js';
import { Pair } from './pair.js';
import { GranularitySlider } from './slider.js';
import { usePicture } from './why.js';

export function Compare() {
  const [first, second] = page.value.compare;
  const left = usePicture(first ?? null);
  const right = usePicture(second ?? null);
  const sent = useMemo(() => (first === undefined ? null : { example: { id: first } }), [first]);
  useEffect(() => {
    document.title = `${t.compare.title} · ${t.name}`;
  }, []);
  if (first === undefined || second === undefined)
    return (
      <>
        <h1 class="visually-hidden">{t.compare.title}</h1>
        <Message title={t.compare.title}>
          <p>{t.compare.needTwo}</p>
          <div class="message-actions">
            <button type="button" class="button button-primary" onClick={() => navigate({ view: 'search' })}>
              {t.compare.search}
            </button>
          </div>
        </Message>
      </>
    );
  return (
    <div class="compare">
      <div class="page-head">
        <h1>{t.compare.title}</h1>
        <button
          type="button"
          class="button"
          onClick={() => navigate({ compare: [second, first] }, 'replace')}
        >
          <Icon name="compare" />
          {t.why.swap}
        </button>
        <button type="button" class="button" onClick={() => navigate({ view: 'search', compare: [] })}>
          <Icon name="left" />
          {t.why.back}
        </button>
      </div>
      <GranularitySlider />
      <h2 class="visually-hidden">{t.compare.reasons}</h2>
      <Pair
        left={{
          title: t.why.first,
          label: left?.itemId ?? first,
          address: api.imageUrl(first, 800),
          picture: left,
        }}
        right={{
          title: t.why.second,
          label: right?.itemId ?? second,
          address: api.imageUrl(second, 800),
          picture: right,
        }}
        sent={sent}
        id={second}
        granularity={granularity.value}
      />
    </div>
  );
}
