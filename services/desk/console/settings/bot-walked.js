// The steps that the last thing tried has taken, for the picture of the flow.

import { signal } from "../frame/html.js";

export const walked = signal([]);
