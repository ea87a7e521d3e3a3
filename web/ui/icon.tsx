/** The page's icons: strokes on a grid of 20, in the colour of the text. They never carry meaning alone. */
const PATHS = {
  camera: 'M3 6.5h3l1.5-2h5l1.5 2h3v9.5H3zM10 13.5a2.75 2.75 0 1 0 0-5.5 2.75 2.75 0 0 0 0 5.5z',
  upload: 'M10 13V4M6.5 7 10 3.5 13.5 7M3.5 13v3.5h13V13',
  search: 'M8.75 14a5.25 5.25 0 1 0 0-10.5 5.25 5.25 0 0 0 0 10.5zM12.75 12.75 17 17',
  close: 'M5 5l10 10M15 5 5 15',
  plus: 'M10 4.5v11M4.5 10h11',
  minus: 'M4.5 10h11',
  up: 'M6.5 9v7.5H3.5V9zM6.5 9 10 3c1.3 0 2 .9 1.8 2.2L11.4 8h4.1c1 0 1.5.8 1.3 1.7l-1.3 5.3c-.2.9-.9 1.5-1.8 1.5H6.5',
  down: 'M6.5 11V3.5H3.5V11zM6.5 11l3.5 6c1.3 0 2-.9 1.8-2.2L11.4 12h4.1c1 0 1.5-.8 1.3-1.7l-1.3-5.3c-.2-.9-.9-1.5-1.8-1.5H6.5',
  question: 'M7.5 7.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M10 14.5v.01',
  compare: 'M3.5 4.5h5.5v11H3.5zM11 4.5h5.5v11H11z',
  crop: 'M6 2.5V14h11.5M2.5 6H14v11.5',
  filter: 'M3 5.5h14M5.5 10h9M8 14.5h4',
  sun: 'M10 13.25a3.25 3.25 0 1 0 0-6.5 3.25 3.25 0 0 0 0 6.5zM10 2.5v1.5M10 16v1.5M2.5 10H4M16 10h1.5M4.7 4.7l1 1M14.3 14.3l1 1M4.7 15.3l1-1M14.3 5.7l1-1',
  moon: 'M16 11.8A6.5 6.5 0 0 1 8.2 4a6.5 6.5 0 1 0 7.8 7.8z',
  auto: 'M10 16.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM10 3.5v13M10 6.5h4.5M10 9.5h6M10 12.5h5.2',
  left: 'M12 4.5 6.5 10l5.5 5.5',
  right: 'M8 4.5 13.5 10 8 15.5',
  check: 'M4 10.5 8 14.5 16 6',
  map: 'M5 7.5a1 1 0 1 0 0-.01M9.5 13a1 1 0 1 0 0-.01M14 6.5a1 1 0 1 0 0-.01M15 13.5a1 1 0 1 0 0-.01M8 5a1 1 0 1 0 0-.01M5.5 15a1 1 0 1 0 0-.01',
  warning: 'M10 3.5 17.5 16.5h-15zM10 8.5v3.5M10 14.3v.01',
  more: 'M5 10h.01M10 10h.01M15 10h.01',
  whole: 'M3.5 7.5v-4h4M12.5 3.5h4v4M16.5 12.5v4h-4M7.5 16.5h-4v-4',
  trash: 'M4 6h12M8 6V4h4v2M5.5 6l.7 10.5h7.6L14.5 6',
} as const;

export function Icon({ name, size = 20 }: { name: keyof typeof PATHS; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
