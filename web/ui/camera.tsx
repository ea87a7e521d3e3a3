/** Takes a photo with the camera of the device. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { Dialog } from './dialog.js';
import { Icon } from './icon.js';
import { useTexts } from './texts.js';

/** Of the pictures that the server decodes; for `<input type="file">`. */
export const ACCEPT = 'image/jpeg,image/png,image/webp,image/gif,image/avif,image/tiff';

interface Props {
  readonly onPicture: (picture: Blob) => void;
  readonly onClose: () => void;
}

export function Camera({ onPicture, onClose }: Props) {
  const t = useTexts();
  const video = useRef<HTMLVideoElement>(null);
  const [state, setState] = useState<'starting' | 'on' | 'denied'>('starting');
  useEffect(() => {
    let stream: MediaStream | undefined;
    let isGone = false;
    navigator.mediaDevices
      .getUserMedia({ video: { facingMode: { ideal: 'environment' }, width: { ideal: 1600 } } })
      .then(
        async (opened) => {
          stream = opened;
          if (isGone || video.current === null) return stop(opened);
          video.current.srcObject = opened;
          await video.current.play();
          setState('on');
        },
        () => {
          if (!isGone) setState('denied');
        },
      );
    return () => {
      isGone = true;
      if (stream !== undefined) stop(stream);
    };
  }, []);
  const shoot = () => {
    const source = video.current;
    if (source === null) return;
    const canvas = document.createElement('canvas');
    canvas.width = source.videoWidth;
    canvas.height = source.videoHeight;
    canvas.getContext('2d')?.drawImage(source, 0, 0);
    canvas.toBlob(
      (picture) => {
        onClose();
        if (picture !== null) onPicture(picture);
      },
      'image/jpeg',
      0.92,
    );
  };
  return (
    <Dialog title={t.camera.title} onClose={onClose}>
      <div class="camera">
        <video ref={video} playsInline muted hidden={state === 'denied'} />
        {state === 'starting' && <p role="status">{t.camera.starting}</p>}
        {state === 'denied' && <p role="alert">{t.camera.denied}</p>}
      </div>
      <div class="dialog-actions">
        <button type="button" class="button button-primary" onClick={shoot} disabled={state !== 'on'}>
          <Icon name="camera" />
          {t.camera.shoot}
        </button>
      </div>
    </Dialog>
  );
}

// --- internal ---

function stop(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}
