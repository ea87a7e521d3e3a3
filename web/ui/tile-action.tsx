/** A small round button on a picture. */
import { Icon } from './icon.js';

export function TileAction({
  icon,
  label,
  tab,
  run,
  isPressed,
}: {
  icon: Parameters<typeof Icon>[0]['name'];
  label: string;
  tab: number;
  run: () => void;
  isPressed?: boolean;
}) {
  return (
    <button
      type="button"
      class="tile-action"
      part="action"
      tabIndex={tab}
      aria-label={label}
      title={label}
      aria-pressed={isPressed}
      onClick={run}
    >
      <Icon name={icon} size={18} />
    </button>
  );
}
