/** All ways a picture comes in: drop, paste, file, camera, URL. Each ends in a search. */
import { signal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { searchWith } from '../state/page.js';
import { keepPicture } from '../state/pictures.js';
import { catalog } from '../state/search.js';
import { strings as t } from '../strings.js';
import { notify } from '../ui/announce.js';
import { ACCEPT, Camera } from '../ui/camera.js';
import { Icon } from '../ui/icon.js';

const isCameraOpen = signal(false);

export async function searchFile(file: Blob, name = t.start.yours): Promise<void> {
  if (file.type !== '' && !file.type.startsWith('image/')) {
    notify(t.start.notPicture(name));
    return;
  }
  const key = await keepPicture(file);
  searchWith({ kind: 'upload', key, weight: 1 });
}

/** The whole window takes pictures that are dropped or pasted. */
export function DropTarget() {
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    let depth = 0;
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;
    const enter = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      depth++;
      setOver(true);
    };
    const leave = () => {
      depth = Math.max(0, depth - 1);
      if (depth === 0) setOver(false);
    };
    const over = (event: DragEvent) => {
      if (hasFiles(event)) event.preventDefault();
    };
    const drop = (event: DragEvent) => {
      depth = 0;
      setOver(false);
      const file = event.dataTransfer?.files[0];
      if (file === undefined) return;
      event.preventDefault();
      void searchFile(file, file.name);
    };
    const paste = (event: ClipboardEvent) => {
      const target = event.target;
      const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith('image/'));
      if (file !== undefined) {
        event.preventDefault();
        void searchFile(file, file.name);
        return;
      }
      if (target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement) return;
      const text = event.clipboardData?.getData('text') ?? '';
      if (!/^https?:\/\/\S+$/.test(text.trim())) notify(t.start.noPictureInPaste);
      else if (catalog.peek()?.capabilities.url === true)
        searchWith({ kind: 'url', url: text.trim(), weight: 1 });
      else notify(t.start.urlOff);
    };
    window.addEventListener('dragenter', enter);
    window.addEventListener('dragleave', leave);
    window.addEventListener('dragover', over);
    window.addEventListener('drop', drop);
    window.addEventListener('paste', paste);
    return () => {
      window.removeEventListener('dragenter', enter);
      window.removeEventListener('dragleave', leave);
      window.removeEventListener('dragover', over);
      window.removeEventListener('drop', drop);
      window.removeEventListener('paste', paste);
    };
  }, []);
  return (
    <>
      {isOver && (
        <div class="drop-veil" aria-hidden="true">
          <div>
            <Icon name="upload" size={40} />
            <p>{t.start.dropNow}</p>
          </div>
        </div>
      )}
      {isCameraOpen.value && (
        <Camera
          onPicture={(picture) => void searchFile(picture)}
          onClose={() => (isCameraOpen.value = false)}
        />
      )}
    </>
  );
}

/** Buttons to choose or take a picture, and a field for its address where the server fetches. */
export function Intake({ isCompact = false }: { isCompact?: boolean }) {
  const file = useRef<HTMLInputElement>(null);
  const capture = useRef<HTMLInputElement>(null);
  const chosen = (event: Event) => {
    const input = event.currentTarget as HTMLInputElement;
    const picture = input.files?.[0];
    if (picture !== undefined) void searchFile(picture, picture.name);
    input.value = '';
  };
  return (
    <div class={isCompact ? 'intake intake-compact' : 'intake'}>
      <input
        ref={file}
        type="file"
        accept={ACCEPT}
        class="visually-hidden"
        tabIndex={-1}
        aria-hidden="true"
        data-intake="file"
        onChange={chosen}
      />
      <input
        ref={capture}
        type="file"
        accept="image/*"
        capture="environment"
        class="visually-hidden"
        tabIndex={-1}
        aria-hidden="true"
        onChange={chosen}
      />
      <button
        type="button"
        class={isCompact ? 'button' : 'button button-primary'}
        onClick={() => file.current?.click()}
      >
        <Icon name="upload" />
        {isCompact ? t.query.newSearch : t.start.choose}
      </button>
      <button
        type="button"
        class="button"
        aria-label={t.start.camera}
        onClick={() => {
          // Without a secure origin the page has no camera of its own, the phone's does.
          if (navigator.mediaDevices?.getUserMedia === undefined) capture.current?.click();
          else isCameraOpen.value = true;
        }}
      >
        <Icon name="camera" />
        {!isCompact && t.start.camera}
      </button>
      {!isCompact && catalog.value?.capabilities.url === true && <UrlField />}
    </div>
  );
}

// --- internal ---

function UrlField() {
  return (
    <form
      class="url-field"
      onSubmit={(event) => {
        event.preventDefault();
        const url = String(new FormData(event.currentTarget as HTMLFormElement).get('url') ?? '').trim();
        if (url !== '') searchWith({ kind: 'url', url, weight: 1 });
      }}
    >
      <input
        name="url"
        type="url"
        required
        pattern="https?://.*"
        aria-label={t.start.url}
        placeholder={t.start.urlPlaceholder}
      />
      <button type="submit" class="button">
        {t.start.urlGo}
      </button>
    </form>
  );
}
