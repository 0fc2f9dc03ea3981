// Light, dark, or as the system says.

const kStored = 'orthrus.theme';
const kThemes = ['system', 'light', 'dark'];
const kLabels = {
  system: 'Theme: as the system',
  light: 'Theme: light',
  dark: 'Theme: dark'
};

export function setUpTheme(button) {
  let theme = 'system';
  try {
    theme = localStorage.getItem(kStored) ?? theme;
  } catch { /* as the system then */
  }
  const show = () => {
    if (!kThemes.includes(theme)) theme = 'system';
    document.documentElement.dataset.theme = theme;
    button.title = kLabels[theme];
    button.setAttribute('aria-label', kLabels[theme]);
  };
  button.addEventListener('click', () => {
    theme = kThemes[(kThemes.indexOf(theme) + 1) % kThemes.length];
    try {
      localStorage.setItem(kStored, theme);
    } catch { /* for this visit only */
    }
    show();
  });
  show();
}
