import Basics

/// The scheduled jobs: `cron/jobs.json`, and one line a run in `cron/runs/<job>.jsonl`.
struct CronBook: Sendable {
  var jobs: [String: JSONValue] = [:]
  var runs: [String: [JSONValue]] = [:]
  /// The jobs that run now; not stored, because a restart ends them.
  var running: Set<String> = []

  static func load(_ paths: OpenClawPaths) throws -> CronBook {
    var book = CronBook()
    for job in try StateFile.read(paths.cronJobs)?["jobs"]?.arrayValue ?? [] {
      if let id = job["id"]?.stringValue { book.jobs[id] = job }
    }
    return book
  }

  func save(_ paths: OpenClawPaths) throws {
    try StateFile.write(["version": 1, "jobs": .array(listed)], to: paths.cronJobs)
  }

  var listed: [JSONValue] {
    jobs.values.sorted { ($0["createdAtMs"]?.intValue ?? 0) < ($1["createdAtMs"]?.intValue ?? 0) }
  }

  /// The job with its schedule anchored and its next run worked out.
  static func scheduled(_ job: JSONValue, nowMilliseconds: Int64) -> JSONValue {
    var schedule = job["schedule"] ?? [:]
    if schedule["kind"]?.stringValue == "every", schedule["anchorMs"] == nil {
      schedule = schedule.setting("anchorMs", .integer(nowMilliseconds))
    }
    let isEnabled = job["enabled"]?.boolValue ?? true
    let next = isEnabled ? nextRun(schedule, after: nowMilliseconds) : nil
    let state = (job["state"] ?? [:]).setting("nextRunAtMs", next.map { .integer($0) })
    return job.setting("schedule", schedule).setting("state", state)
  }

  /// The next time after `now`, milliseconds since 1970; nil when there is none.
  static func nextRun(_ schedule: JSONValue, after now: Int64) -> Int64? {
    switch schedule["kind"]?.stringValue {
    case "every":
      guard let every = schedule["everyMs"]?.intValue, every > 0 else { return nil }
      let anchor = schedule["anchorMs"]?.intValue ?? now
      return anchor > now ? anchor : anchor + ((now - anchor) / every + 1) * every
    case "at":
      let at = schedule["at"]?.intValue ?? schedule["at"]?.stringValue.flatMap { Timestamp($0)?.millisecondsSince1970 }
      return at.flatMap { $0 > now ? $0 : nil }
    case "cron": return schedule["expr"]?.stringValue.flatMap { CronExpression($0)?.next(after: now) }
    default: return nil
    }
  }
}

/// A five-field cron expression, in UTC.
struct CronExpression: Sendable {
  private let fields: [Set<Int>]

  init?(_ text: String) {
    let parts = text.split(separator: " ")
    guard parts.count == 5 else { return nil }
    let ranges = [0...59, 0...23, 1...31, 1...12, 0...6]
    var fields: [Set<Int>] = []
    for (part, range) in zip(parts, ranges) {
      guard let values = Self.values(String(part), range) else { return nil }
      fields.append(values)
    }
    self.fields = fields
  }

  /// The next matching minute within four years.
  func next(after milliseconds: Int64) -> Int64? {
    var minute = milliseconds / 60_000 + 1
    let last = minute + 4 * 366 * 1_440
    while minute < last {
      let day = minute / 1_440
      let (month, dayOfMonth) = Self.civil(day)
      guard fields[3].contains(month), fields[2].contains(dayOfMonth), fields[4].contains(Int((day + 4) % 7)) else {
        minute = (day + 1) * 1_440
        continue
      }
      if fields[0].contains(Int(minute % 60)), fields[1].contains(Int(minute / 60 % 24)) { return minute * 60_000 }
      minute += 1
    }
    return nil
  }

  private static func values(_ text: String, _ range: ClosedRange<Int>) -> Set<Int>? {
    var all: Set<Int> = []
    for item in text.split(separator: ",") {
      let halves = item.split(separator: "/")
      guard let first = halves.first, halves.count <= 2 else { return nil }
      let step = halves.count == 2 ? Int(halves[1]) : 1
      guard let step, step > 0 else { return nil }
      let isAll = first == "*"
      let ends = isAll ? [range.lowerBound, range.upperBound] : first.split(separator: "-").compactMap { Int($0) }
      guard let low = ends.first, let high = ends.last, low <= high, range.contains(low), range.contains(high) else {
        return nil
      }
      let last = halves.count == 2 && ends.count == 1 ? range.upperBound : high
      all.formUnion(stride(from: low, through: last, by: step))
    }
    return all.isEmpty ? nil : all
  }

  /// Month and day of a day number since 1970-01-01 (the civil calendar, by Howard Hinnant's method).
  private static func civil(_ day: Int64) -> (month: Int, day: Int) {
    let shifted = day + 719_468
    let dayOfEra = shifted - (shifted / 146_097) * 146_097
    let year = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * year + year / 4 - year / 100)
    let month = (5 * dayOfYear + 2) / 153
    return (Int(month < 10 ? month + 3 : month - 9), Int(dayOfYear - (153 * month + 2) / 5 + 1))
  }
}
