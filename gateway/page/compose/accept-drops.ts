/** Lets files be dropped anywhere on the form, which marks `zone`: those that miss it must not replace the page. */
export function acceptDrops(form: HTMLElement, zone: HTMLElement, take: (files: FileList) => void): void {
  form.addEventListener('dragover', (event) => {
    if (event.dataTransfer?.types.includes('Files')) {
      event.preventDefault();
      zone.classList.add('dropping');
    }
  });
  form.addEventListener('dragleave', () => zone.classList.remove('dropping'));
  form.addEventListener('drop', (event) => {
    zone.classList.remove('dropping');
    const files = event.dataTransfer?.files;
    if (files?.[0]) {
      event.preventDefault();
      take(files);
    }
  });
}
