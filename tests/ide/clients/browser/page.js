'use strict';
// A headless Chromium at VS Code's workbench, by orders on standard input; each is answered by a line
// `done ORDER`. The first one that cannot be carried out ends it with exit code 1 and the reason.
// Usage: node page.js [SOCKS_HOST:PORT]
//   open URL          load the page and wait for the workbench and both its websockets
//   see NAME          wait for a file in the explorer
//   edit NAME TEXT    open the file, put TEXT in front, save
//   type TEXT         into the integrated terminal, with a line end
//   lost              wait until the workbench has noticed that its server is out of reach
//   back              wait until it is connected again, pressing its own button where it shows one
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { chromium } = require('playwright-core');

const PATIENCE = 120_000; // ms; a loaded machine takes its time with a page of 10 MB
const proxy = process.argv[2];

const flags = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
];
if (proxy) flags.push(`--proxy-server=socks5://${proxy}`, '--proxy-bypass-list=<-loopback>');

const row = (name) => `.explorer-folders-view .monaco-list-row[aria-label^="${name}"]`;
const dialog = (page) => page.locator('.monaco-dialog-box', { hasText: /reconnect/i });

// Connections by kind that carry the workbench now; VS Code names it in the first message only.
const sockets = new Set();

const orders = {
  async open(page, url) {
    page.on('websocket', (socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    });
    await page.goto(url);
    await page.locator('.monaco-workbench').waitFor();
    await until('two websockets', () => sockets.size >= 2);
  },

  async see(page, name) {
    await page.locator(row(name)).waitFor();
  },

  async edit(page, name, text) {
    await page.locator(row(name)).dblclick();
    const editor = page.locator('.editor-instance .monaco-editor');
    await editor.locator('.view-line').first().click();
    await page.keyboard.press('Control+Home');
    await page.keyboard.type(text);
    await page.keyboard.press('Control+S');
    await page.locator('.tab.active:not(.dirty)').waitFor();
  },

  async type(page, text) {
    const terminal = page.locator('.terminal-wrapper.active .xterm-helper-textarea');
    if (await terminal.count() === 0) await page.keyboard.press('Control+Backquote');
    await terminal.waitFor({ state: 'attached' });
    // Its shell has to be there: what is typed earlier is lost.
    await page.locator('.terminal-wrapper.active .xterm-rows', { hasText: '$' }).waitFor();
    await terminal.focus();
    await page.keyboard.type(`${text}\n`);
  },

  async lost(page) {
    await until('no websocket is left', () => sockets.size === 0);
    await dialog(page).waitFor();
  },

  async back(page) {
    await until('two websockets and no dialog', async () => {
      const now = dialog(page).getByText('Reconnect Now');
      if (await now.isVisible()) await now.click({ timeout: 1000 }).catch(() => {});
      return sockets.size >= 2 && await dialog(page).count() === 0;
    });
  },
};

async function until(what, condition) {
  const deadline = Date.now() + PATIENCE;
  while (!await condition()) {
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

async function main() {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'podssh-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.PODSSH_CHROMIUM || '/usr/bin/chromium', headless: true, args: flags,
  });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    console.log('done start');
    for await (const line of readline.createInterface({ input: process.stdin })) {
      const [order, ...rest] = line.split(' ');
      const args = order === 'edit' ? [rest[0], rest.slice(1).join(' ')] : [rest.join(' ')];
      try {
        await orders[order](page, ...args);
      } catch (error) {
        const shot = process.env.PODSSH_SCREENSHOT;
        if (shot) await page.screenshot({ path: shot });
        throw error;
      }
      console.log(`done ${order}`);
    }
  } finally {
    await context.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
