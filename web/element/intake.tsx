/** The ways a picture comes into an element: drop and paste on it, a file, the camera. */
import { useRef, useState } from 'preact/hooks';
import { ACCEPT, Camera } from '../ui/camera.js';
import { Icon } from '../ui/icon.js';
import { useTexts } from '../ui/texts.js';
import type { ElementSearch } from './search.js';

interface Props {
  readonly search: ElementSearch;
  readonly onNotice: (text: string) => void;
  readonly isCompact?: boolean;
}

export function Intake({ search, onNotice, isCompact = false }: Props) {
  const t = useTexts();
  const take = useTake(search, onNotice);
  const file = useRef<HTMLInputElement>(null);
  const capture = useRef<HTMLInputElement>(null);
  const [isCameraOpen, setCameraOpen] = useState(false);
  const chosen = (event: Event) => {
    const input = event.currentTarget as HTMLInputElement;
    take(input.files?.[0]);
    input.value = '';
  };
  const hidden = { class: 'visually-hidden', tabIndex: -1, 'aria-hidden': true } as const;
  return (
    <div class="intake" part="intake">
      <input {...hidden} ref={file} type="file" accept={ACCEPT} data-intake="file" onChange={chosen} />
      <input {...hidden} ref={capture} type="file" accept="image/*" capture="environment" onChange={chosen} />
      <button
        type="button"
        class={isCompact ? 'button' : 'button button-primary'}
        part={isCompact ? 'button' : 'button button-primary'}
        onClick={() => file.current?.click()}
      >
        <Icon name="upload" />
        {isCompact ? t.query.newSearch : t.start.choose}
      </button>
      <button
        type="button"
        class="button"
        part="button"
        aria-label={t.start.camera}
        onClick={() => {
          // Without a secure origin the page has no camera of its own, the phone's does.
          if (navigator.mediaDevices?.getUserMedia === undefined) capture.current?.click();
          else setCameraOpen(true);
        }}
      >
        <Icon name="camera" />
        {!isCompact && t.start.camera}
      </button>
      {isCameraOpen && <Camera onPicture={take} onClose={() => setCameraOpen(false)} />}
    </div>
  );
}

/** Handlers for what takes drops and pastes, and whether something is held over it. */
export function useDrop(search: ElementSearch, onNotice: (text: string) => void) {
  const t = useTexts();
  const take = useTake(search, onNotice);
  const [isOver, setOver] = useState(false);
  const depth = useRef(0);
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;
  return {
    isOver,
    onDragEnter(event: DragEvent) {
      if (!hasFiles(event)) return;
      depth.current++;
      setOver(true);
    },
    onDragLeave() {
      depth.current = Math.max(0, depth.current - 1);
      if (depth.current === 0) setOver(false);
    },
    onDragOver(event: DragEvent) {
      if (hasFiles(event)) event.preventDefault();
    },
    onDrop(event: DragEvent) {
      depth.current = 0;
      setOver(false);
      const file = event.dataTransfer?.files[0];
      if (file === undefined) return;
      event.preventDefault();
      take(file);
    },
    onPaste(event: ClipboardEvent) {
      const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith('image/'));
      if (file !== undefined) {
        event.preventDefault();
        take(file);
      } else if (!(event.target instanceof HTMLInputElement)) onNotice(t.start.noPictureInPaste);
    },
  };
}

// --- internal ---

function useTake(search: ElementSearch, onNotice: (text: string) => void) {
  const t = useTexts();
  return (file: Blob | undefined) => {
    if (file === undefined) return;
    if (file.type !== '' && !file.type.startsWith('image/')) {
      onNotice(t.start.notPicture(file instanceof File ? file.name : t.start.yours));
      return;
    }
    onNotice('');
    search.searchWith(file);
  };
}
