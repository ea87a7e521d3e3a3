/** Pictures of the server and of the visitor. */
import { useEffect, useState } from 'preact/hooks';
import type { ElementSearch } from './search.js';

interface RemoteProps {
  readonly search: ElementSearch;
  readonly id: string;
  /** Pixels that the picture is asked for with. */
  readonly width: number;
  readonly label: string;
  readonly isLazy?: boolean;
}

/** A picture of the catalogue. `<img>` sends no key: where there is one, the picture is fetched with it. */
export function RemoteImage({ search, id, width, label, isLazy = false }: RemoteProps) {
  const address = search.api.value.imageUrl(id, width);
  const key = search.key.value;
  const needsKey = key !== null;
  const [fetched, setFetched] = useState<string | undefined>();
  useEffect(() => {
    if (!needsKey) return;
    const controller = new AbortController();
    let made: string | undefined;
    fetch(address, { headers: { authorization: `Bearer ${key}` }, signal: controller.signal })
      .then((answer) => (answer.ok ? answer.blob() : Promise.reject(new Error(String(answer.status)))))
      .then((picture) => {
        if (controller.signal.aborted) return;
        made = URL.createObjectURL(picture);
        setFetched(made);
      })
      .catch(() => undefined); // its place stays empty
    return () => {
      controller.abort();
      if (made !== undefined) URL.revokeObjectURL(made);
    };
  }, [address, key]);
  return (
    <img
      src={needsKey ? fetched : address}
      alt={label}
      width={width}
      height={width}
      loading={isLazy ? 'lazy' : 'eager'}
      decoding="async"
      draggable={false}
      onError={(event) => event.currentTarget.classList.add('image-missing')}
    />
  );
}

/** A picture that the visitor gave. */
export function FileImage({ file, label }: { file: Blob; label: string }) {
  const [address, setAddress] = useState<string | undefined>();
  useEffect(() => {
    const made = URL.createObjectURL(file);
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  return <img src={address} alt={label} />;
}
