// What views are made of.

export { Avatar } from "./avatar.js";
export { Button, IconButton, Link } from "./button.js";
export { Dialog, confirm, useChanged, useUnsaved } from "./dialog.js";
export { Checkbox, Choices, Field, Select, Switch, TextArea, TextField, wrongWith } from "./form.js";
export { ChannelIcon, Icon } from "./icon.js";
export { Menu } from "./menu.js";
export { Card, More, Page, Table, Time } from "./page.js";
export { Empty, Problem, Waiting, inWords, useGet, usePages, useWork } from "./state.js";
export { toast } from "./toast.js";
