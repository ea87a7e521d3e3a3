/** Starts the page. */
import { render } from 'preact';
import { App } from './app.js';
import { startRemembering } from './state/recent.js';
import { startSearching } from './state/search.js';
import './styles/tokens.css';
import './styles/base.css';
import './styles/layout.css';
import './styles/query.css';
import './styles/results.css';
import './styles/pair.css';

startSearching();
startRemembering();
render(<App />, document.getElementById('app')!);
