/** Asks for the server's key. */
import { asked } from '../state/key.js';
import { strings as t } from '../strings.js';
import { Dialog } from '../ui/dialog.js';

export function KeyQuestion() {
  const question = asked.value;
  if (question === null) return null;
  return (
    <Dialog title={t.key.title} onClose={() => question.answer(null)}>
      <form
        class="key-question"
        onSubmit={(event) => {
          event.preventDefault();
          const key = new FormData(event.currentTarget).get('key')?.toString().trim();
          // A cookie or a header could not carry anything else.
          if (key) question.answer(/^[\w-]+$/.test(key) ? key : 'no-key');
        }}
      >
        <p role={question.isWrong ? 'alert' : undefined}>{question.isWrong ? t.key.wrong : t.key.detail}</p>
        <label>
          {t.key.label}
          <input name="key" type="password" autocomplete="off" spellcheck={false} required />
        </label>
        <button type="submit" class="button button-primary">
          {t.key.use}
        </button>
      </form>
    </Dialog>
  );
}
