/** A query picture, wherever its bytes are: in the catalogue, on this device, on the web, or nowhere any more. */
import { useEffect, useState } from 'preact/hooks';
import type { ExampleState } from '../state/location.js';
import { pictureAddress } from '../state/pictures.js';
import { api } from '../state/search.js';
import { strings as t } from '../strings.js';
import { Icon } from '../ui/icon.js';

export function exampleLabel(example: ExampleState): string {
  return example.kind === 'id'
    ? example.id
    : example.kind === 'url'
      ? t.query.urlPicture
      : t.query.yourPicture;
}

/** The address of an example's picture: undefined while it is looked up, null when there is none. */
export function useExampleAddress(example: ExampleState, width?: number): string | null | undefined {
  const fixed =
    example.kind === 'id'
      ? api.imageUrl(example.id, width)
      : example.kind === 'url'
        ? api.remotePictureUrl(example.url, width)
        : undefined;
  const key = example.kind === 'upload' ? example.key : '';
  const [found, setFound] = useState<{ key: string; address: string | null }>();
  useEffect(() => {
    if (fixed !== undefined) return;
    let isGone = false;
    void pictureAddress(key).then((address) => {
      if (!isGone) setFound({ key, address });
    });
    return () => {
      isGone = true;
    };
  }, [key, fixed]);
  return fixed ?? (found?.key === key ? found.address : undefined);
}

/** A small square of it. */
export function ExampleThumbnail({ example, size = 64 }: { example: ExampleState; size?: number }) {
  const address = useExampleAddress(example, 160);
  return (
    <span class="thumbnail" style={{ width: `${size}px`, height: `${size}px` }}>
      {typeof address === 'string' ? (
        <img src={address} alt="" width={size} height={size} decoding="async" referrerpolicy="no-referrer" />
      ) : (
        address === null && <Icon name="search" />
      )}
    </span>
  );
}
