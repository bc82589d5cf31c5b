import Basics

/// The skills that come with the stand-in: few, but each with every member of a real row.
enum BundledSkills {
  static let rows: [JSONValue] = [
    row("healthcheck", "🩺", "Audit and harden the host that OpenClaw runs on.", bins: []),
    row("skill-creator", "🧰", "Create or update agent skills.", bins: []),
    row("tmux", "🧵", "Drive interactive terminal programs in tmux sessions.", bins: ["tmux"]),
    row("weather", "🌤️", "Look up current weather and forecasts.", bins: ["curl"]),
  ]

  private static func row(_ name: String, _ emoji: String, _ description: String, bins: [String]) -> JSONValue {
    let base = "/app/skills/\(name)"
    let requirements: JSONValue = ["bins": .strings(bins), "anyBins": [], "env": [], "config": [], "os": []]
    return [
      "name": .string(name), "description": .string(description), "source": "openclaw-bundled", "bundled": true,
      "filePath": .string(base + "/SKILL.md"), "baseDir": .string(base), "skillKey": .string(name),
      "emoji": .string(emoji), "always": false, "disabled": false, "blockedByAllowlist": false,
      "blockedByAgentFilter": false, "eligible": .bool(bins.isEmpty), "platformIncompatible": false,
      "modelVisible": .bool(bins.isEmpty), "userInvocable": true, "commandVisible": .bool(bins.isEmpty),
      "requirements": requirements, "missing": requirements, "configChecks": [],
      "install": .array(
        bins.map { bin in
          ["id": "brew", "kind": "brew", "label": .string("Install \(bin) (brew)"), "bins": .strings([bin])]
        }),
    ]
  }
}
