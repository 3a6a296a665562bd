// The entry: live figures, actions with a question before them, logs that follow. Each module works only where its elements are.
import { ask } from "./actions.js";
import { chart } from "./charts.js";
import { deliver } from "./deliveries.js";
import { follow } from "./logs.js";
import { look } from "./resources.js";
import { listen } from "./live.js";
import { weigh } from "./weights.js";

ask();
weigh();
chart();
deliver();
follow();
look();
listen();
