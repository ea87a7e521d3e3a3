/** A level's sign: one shape a level, so that no colour is needed to tell them apart. */
export function LevelMark({ level }: { level: 'item' | 'look' | 'category' | null }) {
  return (
    <svg class={`mark mark-${level ?? 'none'}`} width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">
      {level === 'item' && <circle cx="7" cy="7" r="5" class="mark-full" />}
      {level === 'look' && (
        <>
          <circle cx="7" cy="7" r="5" class="mark-line" />
          <path d="M7 2a5 5 0 0 1 0 10z" class="mark-full" />
        </>
      )}
      {level === 'category' && <circle cx="7" cy="7" r="5" class="mark-line" />}
      {level === null && <path d="M3 7h8" class="mark-line" />}
    </svg>
  );
}
