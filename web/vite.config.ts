import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// `npm run dev` passes API calls on to a daemon: LC_DAEMON=http://127.0.0.1:PORT
const daemon = process.env['LC_DAEMON'];
// The daemon takes changes only from pages of its own origin.
const proxy = { target: daemon ?? '', changeOrigin: true, headers: { origin: daemon ?? '' } };

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // The page's content security policy allows neither inline scripts nor data: addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // What the bundle contains of others is named beside it.
    license: { fileName: 'licenses.md' },
  },
  server: daemon ? { proxy: { '/api': proxy, '/login': proxy } } : {},
});
