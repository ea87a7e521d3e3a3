/** Where the map is shown; its code is fetched when it is first asked for. */
import type { ComponentType } from 'preact';
import { useCallback, useEffect, useState } from 'preact/hooks';
import { RequestError } from '../api.js';
import { failure, retry, status } from '../state/search.js';
import { strings as t } from '../strings.js';
import { Failure } from '../ui/states.js';

let loaded: ComponentType | null = null;

export function MapView() {
  const [Content, setContent] = useState<{ readonly of: ComponentType } | null>(
    loaded === null ? null : { of: loaded },
  );
  const [error, setError] = useState<RequestError | null>(null);
  const load = useCallback(async () => {
    try {
      loaded = (await import('./map/map.js')).CatalogMap;
      setError(null);
      setContent({ of: loaded });
    } catch (failed) {
      setError(new RequestError('offline', String(failed)));
    }
  }, []);
  useEffect(() => {
    document.title = `${t.map.title} · ${t.name}`;
    if (loaded === null) void load();
  }, [load]);
  const noCatalog = status.value === 'failed' ? failure.value : null;
  return (
    <div class="map-view">
      <div class="page-head">
        <h1>{t.map.title}</h1>
        <p class="lead">{t.map.lead}</p>
      </div>
      {noCatalog !== null ? (
        <Failure error={noCatalog} retry={() => void retry()} />
      ) : error !== null ? (
        <Failure error={error} retry={() => void load()} />
      ) : (
        Content !== null && <Content.of />
      )}
    </div>
  );
}
