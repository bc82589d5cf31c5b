import Access
import ArgumentParser
import Basics
import Client
import Foundation
import Web

struct ApprovalCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "approval", abstract: "Acts that need the word of another person.",
    subcommands: [Rule.self, List.self, Show.self, Approve.self, Refuse.self])

  struct Rule: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "rule", abstract: "Which acts need other people.",
      subcommands: [SetRule.self, ListRules.self, RemoveRule.self])
  }

  struct SetRule: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      commandName: "set", abstract: "Make acts of a kind need the approval of other people.",
      discussion: "Each role needs an approver of its own. Without --role it is one other person.")

    @Argument(help: "The evidence kind of the acts, such as instance.removal-requested.") var kind: String
    @Option(name: .customLong("role"), help: "NAME, or NAME=PERSON,PERSON; may be repeated.") var roles: [String] = []
    @Option(help: "How long a request may be answered and used.") var minutes = ApprovalLimits.minutesDefault
    @Flag(help: "Whoever asked does not carry it out either.") var separateExecutor = false
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let rule = ApprovalRule(
        kind: kind, roles: try (roles.isEmpty ? ["second"] : roles).map(Self.role), minutes: minutes,
        separateExecutor: separateExecutor)
      try await act.tell(.post, "/approval-rules", body: rule) { _ in
        "\(kind) needs the approval of \(rule.roles.map(\.name.text).joined(separator: " and ")) from now on."
      }
    }

    static func role(_ text: String) throws -> ApprovalRole {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      let people = parts.count == 2 ? parts[1].split(separator: ",").map(String.init) : []
      return ApprovalRole(name: try Slug(parts.first ?? ""), people: try people.map { try Slug($0) })
    }
  }

  struct ListRules: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the rules.")

    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let rules = try await context.client.send(.get, "/approval-rules", as: Items<ApprovalRule>.self).items
      if output.json { return try Console.json(rules) }
      if rules.isEmpty { return Console.line("No act needs two people. Make a rule: aw approval rule set KIND") }
      Console.table(
        ["ACTS", "ROLES", "MINUTES", "REQUESTER ACTS"],
        rules.map { rule in
          let roles = rule.roles.map { role in
            role.people.isEmpty ? role.name.text : "\(role.name)=\(role.people.map(\.text).joined(separator: ","))"
          }
          return [
            rule.kind, roles.joined(separator: " and "), String(rule.minutes), rule.separateExecutor ? "no" : "yes",
          ]
        })
    }
  }

  struct RemoveRule: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      commandName: "rm", abstract: "Take a rule away: that needs the approval of its own roles.")

    @Argument(help: "The kind of the rule.") var kind: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      guard try await act.send(.delete, "/approval-rules/\(kind)") != nil else { return }
      if output.json { return try Console.json(JSONValue.object(["removed": .string(kind)])) }
      Console.line("\(kind) needs nobody else from now on.")
    }
  }

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List the newest requests.")

    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let views = try await context.client.send(.get, "/approvals", as: Items<ApprovalView>.self).items
      if output.json { return try Console.json(views) }
      if views.isEmpty { return Console.line("Nobody has asked for an approval.") }
      Console.table(
        ["APPROVAL", "STATE", "ACT", "ASKED BY", "MISSING"],
        views.map {
          [
            $0.approval.id.text, $0.state.rawValue, $0.approval.act.kind, $0.approval.requester.text,
            $0.state == .pending ? $0.missing.map(\.text).joined(separator: ", ") : "",
          ]
        })
    }
  }

  struct Show: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Show what is to be approved, and who said what.")

    @Argument(help: "Its id.") var id: String
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let view = try await context.client.send(.get, "/approvals/\(try Typed.id(id))", as: ApprovalView.self)
      if output.json { return try Console.json(view) }
      let (approval, act) = (view.approval, view.approval.act)
      Console.line("Act        \(act.kind) \(act.subject ?? "")")
      Console.line("Details    \(act.details.canonical)")
      Console.line("Digest     \(approval.digest)")
      Console.line("Asked by   \(approval.requester), \(approval.requestedAt); until \(approval.expiresAt)")
      for vote in approval.votes {
        let note = vote.note.map { ": \($0)" } ?? ""
        Console.line("\(vote.approves ? "Approved  " : "Refused   ") by \(vote.account), \(vote.at)\(note)")
      }
      let missing = view.missing.map(\.text).joined(separator: ", ")
      Console.line("It is      \(view.state.rawValue)" + (view.state == .pending ? ", missing: \(missing)" : ""))
    }
  }

  struct Approve: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Approve exactly the act of a request.")

    @Argument(help: "Its id.") var id: String
    @Option(help: "What there is to say.") var note: String?
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let id = try Typed.id(id)
      try await act.tell(.post, "/approvals/\(id)/approve", body: ["note": note]) { answer in
        let view = try answer.decode(ApprovalView.self)
        return view.missing.isEmpty
          ? "Approved. It can be carried out, once: with --approval \(id)."
          : "Approved. Still missing: \(view.missing.map(\.text).joined(separator: ", "))."
      }
    }
  }

  struct Refuse: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Refuse a request, or take back your own.")

    @Argument(help: "Its id.") var id: String
    @Option(help: "What there is to say.") var note: String?
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await act.tell(.post, "/approvals/\(try Typed.id(id))/refuse", body: ["note": note]) { _ in
        "Refused, for good."
      }
    }
  }
}

struct EmergencyCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "emergency", abstract: "Do alone, for a while, what needs two people.",
    subcommands: [Open.self, List.self, Review.self])

  struct Open: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Stand in for the second person yourself, for a while.",
      discussion: "Everybody who is told of events is told, and another person has to review it afterwards.")

    @Option(help: "Why it cannot wait for another person.") var reason: String
    @Option(help: "How long, up to 60.") var minutes: Int
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    private struct Body: Encodable, Sendable {
      let reason: String
      let minutes: Int
    }

    func run() async throws {
      try await act.tell(.post, "/emergencies", body: Body(reason: reason, minutes: minutes)) { answer in
        let emergency = try answer.decode(Emergency.self)
        return """
          '\(emergency.account)' may act alone until \(emergency.until). It is told to everybody. Afterwards another \
          person runs: aw emergency review \(emergency.id) --note TEXT
          """
      }
    }
  }

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List the newest emergencies.")

    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let items = try await context.client.send(.get, "/emergencies", as: Items<Emergency>.self).items
      if output.json { return try Console.json(items) }
      if items.isEmpty { return Console.line("There was no emergency.") }
      Console.table(
        ["EMERGENCY", "BY", "UNTIL", "ACTS", "REVIEWED BY", "REASON"],
        items.map {
          [
            $0.id.text, $0.account.text, $0.until.description, String($0.acts.count), $0.reviewer?.text ?? "nobody",
            $0.reason,
          ]
        })
    }
  }

  struct Review: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Say what is to be said of another person's emergency, which ends it.")

    @Argument(help: "Its id.") var id: String
    @Option(help: "What you found.") var note: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await act.tell(.post, "/emergencies/\(try Typed.id(id))/review", body: ["note": note]) { _ in
        "Reviewed. Its task has left the board."
      }
    }
  }
}
