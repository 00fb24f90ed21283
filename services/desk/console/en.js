// Every word that the console shows. A translation is one more file with the same names.

const several = (n, one, many) => `${n} ${n === 1 ? one : many}`;

export const words = {
  brand: "Relaydesk",
  skip: "Skip to the content",

  login: {
    title: "Log in",
    email: "Email address",
    password: "Password",
    workspace: "Workspace",
    submit: "Log in",
    ended: "Your login has ended. Log in again.",
    unreachable: "Relaydesk cannot be reached right now. Try again.",
  },
  logout: "Log out",
  back: "Back to the alerts",
  settings: "Settings",

  connection: {
    connecting: "Connecting…",
    connected: "Connected",
    reconnecting: "Reconnecting…",
    crowded: "Too many pages are open. Close some.",
  },
  presence: {
    legend: "You are",
    online: "Online",
    away: "Away",
    offline: "Offline",
  },

  alerts: {
    title: "Alerts",
    none: "Nothing waits for you.",
    noneMore: "New alerts appear here as they happen.",
    dismiss: (what) => `Dismiss: ${what}`,
    count: (n) => several(n, "message", "messages"),
    sessions: (n) => several(n, "session", "sessions"),
    said: (what, who) => (who ? `New alert: ${what}, ${who}` : `New alert: ${what}`),
    rung: "Still waiting",
    someone: "Somebody",
  },
  elsewhere: {
    accounts: {
      title: "Account",
      where: () => "Its alert says what is wrong. Accounts are looked after by API: GET /api/v1/accounts.",
    },
    imports: {
      title: "Import",
      where: () => "Its alert says how it ended.",
    },
    "webhook-endpoints": {
      title: "Webhook endpoint",
      where: (id) => `What it was told, by API: GET /api/v1/webhook-endpoints/${id}/deliveries.`,
    },
  },
  triggers: {
    "bot_hosted.message": "Message to a bot",
    "unassigned.message": "Message without an owner",
    "assigned.message": "Message for you",
    "handoff.requested": "Asks for a person",
    "assigned.to_me": "Assigned to you",
    mention: "Mentions you",
    notice: "Notice",
    "session.ended_automatically": "Ended by itself",
    "send.failed": "Could not be sent",
    "account.unhealthy": "Account needs attention",
    "import.finished": "Import finished",
  },
  triggerHelp: {
    "bot_hosted.message": "A visitor writes in a session that a bot answers.",
    "unassigned.message": "A visitor writes, and nobody has the session yet.",
    "assigned.message": "A visitor writes in a session of yours.",
    "handoff.requested": "A visitor, a bot or a rule asks for a person.",
    "assigned.to_me": "A session becomes yours, by a colleague or by itself.",
    mention: "A colleague names you in a note.",
    notice: "A rule tells you, an owner stays silent, or a snooze is over.",
    "session.ended_automatically": "A session of yours ends because it was idle.",
    "send.failed": "A message of yours cannot be delivered.",
    "account.unhealthy": "A connected account stops working, or works again.",
    "import.finished": "An import that you began is done.",
  },
  lists: {
    bot_hosted: "Bot hosted",
    unassigned: "Unassigned",
    assigned: "Assigned",
    ended: "Ended",
  },
  channels: {
    messenger: "Messenger",
    fb_comment: "Facebook comments",
    instagram: "Instagram",
    line: "LINE",
    telegram: "Telegram",
    web: "Web chat",
    wechat: "WeChat",
    whatsapp: "WhatsApp",
  },

  session: {
    title: "Session",
    pick: "Choose an alert to see its session.",
    loading: "Loading…",
    missing: "There is no such session, or it is not yours to see.",
    failed: "The session cannot be shown right now.",
    again: "Try again",
    owner: (name) => `Owner: ${name}`,
    noOwner: "No owner",
    empty: "No messages yet.",
    earlier: "Earlier messages are not shown here.",
    you: "You",
    kinds: { visitor: "Visitor", agent: "Agent", bot: "Bot", automation: "Automation", system: "" },
    file: "File",
    deleted: "This message was unsent.",
    note: "Note",
    take: "Take this session",
    taken: "It is yours.",
  },

  hints: {
    sound: "Click anywhere to let this page play sounds.",
    ask: "See alerts while this page is in the background.",
    askButton: "Show notifications",
    denied:
      "This browser blocks notifications from this site. Allow them in the site settings beside " +
      "the address, then load the page again.",
    unsupported: "This browser cannot show notifications. Alerts appear on this page.",
  },
  push: {
    checking: "Notifications are shown. Setting up those for when no page is open…",
    on: "Notifications are shown, and reach you when no page is open.",
    vendor:
      "Notifications are shown while a page is open. This browser has no push service, so " +
      "nothing arrives once all pages are closed.",
    server:
      "Notifications are shown while a page is open. This installation does not offer them for " +
      "closed pages.",
  },
  // As a push says it (services/notifier/push.py), since one may take the other's place.
  notification: {
    titles: {
      "bot_hosted.message": "New message in Bot Hosting",
      "unassigned.message": "New message in Unassigned",
      "assigned.message": "New message in Assigned",
      "handoff.requested": "A visitor asks for a person",
      "assigned.to_me": "A session was assigned to you",
      mention: "You were mentioned in a note",
      notice: "A session needs you",
      "session.ended_automatically": "A session ended by itself",
      "send.failed": "A message could not be sent",
      "account.unhealthy": "An account needs attention",
      "import.finished": "An import is over",
    },
    summary: (n) => (n > 1 ? `${n} sessions wait` : "A session waits"),
  },

  prefs: {
    title: "How you are alerted",
    loading: "Loading…",
    failed: "Your settings cannot be shown right now.",
    saved: "Saved.",
    save: "Save",
    events: "Alert me when",
    method: { browser: "Browser", email: "Email", webhook: "Webhook" },
    locked: "Set by your workspace. An admin can change it.",
    delivery: "Sound and quiet",
    sound: "Sound",
    soundDefault: "As below",
    sounds: { chime: "Chime", bell: "Bell", knock: "Knock", pop: "Pop", none: "No sound" },
    tryIt: "Try",
    volume: "Volume",
    mute: "Mute",
    muteHelp: "No sound, and nothing while no page is open. Alerts still stand in the list.",
    mutes: {
      off: "Not muted",
      min30: "For 30 minutes",
      min60: "For an hour",
      min480: "For 8 hours",
      on: "Until I end it",
    },
    mutedUntil: (time) => `Until ${time}`,
    quiet: "Quiet hours",
    quietHelp: "No sound and no push in these hours; email waits until they end.",
    from: "From",
    until: "Until",
    zone: "Time zone",
    zoneDefault: "As the workspace",
    absent: "When you are not there",
    absents: {
      if_nobody: "Alert me of shared lists only if nobody else is there",
      always: "Always alert me of shared lists",
    },
    privacy: "What notifications show",
    lockScreens: {
      generic: "Only that something waits",
      contact: "The contact's name",
      excerpt: "The contact's name and the message",
    },
    test: "Send me a test alert",
    tested: "Sent. It appears in a moment.",
    notTested: "It could not be sent.",
    notifications: "Notifications",
  },

  ago: {
    now: "now",
    minutes: (n) => `${n} min`,
    hours: (n) => `${n} h`,
    days: (n) => several(n, "day", "days"),
  },
};
