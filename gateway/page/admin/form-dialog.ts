import { clearFormErrors, showFormError } from '../compose/field-errors.ts';
import { byId, part } from '../dom.ts';

/** Opens a dialog with a form, and closes it once `save` has accepted the form; its errors are shown at their fields. */
export function openForm(dialogId: string, formId: string, save: () => Promise<void>): void {
  const dialog = byId<HTMLDialogElement>(dialogId);
  const form = byId<HTMLFormElement>(formId);
  let isSaving = false;
  clearFormErrors(form);
  part<HTMLButtonElement>(form, 'close').onclick = () => dialog.close();
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (isSaving) {
      return;
    }
    isSaving = true;
    clearFormErrors(form);
    try {
      await save();
      dialog.close();
    } catch (error) {
      showFormError(form, error);
    } finally {
      isSaving = false;
    }
  };
  dialog.showModal();
}
