import ArgumentParser
import Basics
import Client
import Credentials
import Web

extension CredentialCommands {
  /// One-time links by which customers give credentials themselves.
  struct Request: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Make one-time links by which the customer gives credentials.",
      discussion: """
        One link for each surface, shown once. The customer's browser seals the value, so nobody on the way has it. A
        link that is still open for the same credential does not work any more. A second use of a link is an incident:
        it is recorded, told of, and freezes what the link brought.
        """)

    @Argument(help: "The Org.") var org: Slug
    @Argument(help: "What is asked for: models.providers.openai.apiKey, …") var surfaces: [String]
    @Option(
      name: .customLong("class"),
      help: "Of what is asked for: fixture; controlled-non-production and real need a gate that is open.")
    var kind = CredentialClass.fixture.rawValue
    @Option(help: "Who asks, as the customer knows them; without it the name that you are signed in with.")
    var from: String?
    @Option(name: .customLong("for"), help: "What for, in words for the customer.") var purpose: String?
    @Option(help: "How many hours a link works: 1 to 24.") var hours: Int?
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    private struct Body: Encodable, Sendable {
      let `class`: String
      let from: String?
      let purpose: String?
      let hours: Int?
    }

    func run() async throws {
      let body = Body(class: kind, from: from, purpose: purpose, hours: hours)
      // A name that is none is refused before the first link is made.
      let wanted = try surfaces.map { try CredentialSurface(named: $0) }
      var made: [IntakeRequestedView] = []
      for surface in wanted {
        let path = "/orgs/\(org)/credentials/\(surface.rawValue)/request"
        guard let answer = try await act.send(.post, path, body: body) else { continue }
        made.append(try answer.decode(IntakeRequestedView.self))
      }
      if act.isRehearsal { return }
      if output.json { return try Console.json(made) }
      for one in made {
        Console.line("\(one.link.title) of '\(one.link.org)', until \(one.link.expiresAt), once:")
        Console.line("  \(one.url)")
      }
    }
  }

  struct Links: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List an Org's one-time links, without their secrets.")

    @Argument(help: "The Org.") var org: Slug
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let answer = try await context.client.send(.get, "/orgs/\(org)/credential-links", as: Items<IntakeLinkView>.self)
      if output.json { return try Console.json(answer.items) }
      if answer.items.isEmpty { return Console.line("No link yet. Make one: aw credential request \(org) SURFACE") }
      Console.table(
        ["SURFACE", "CLASS", "STATE", "ASKED", "UNTIL", "FROM", "BY"],
        answer.items.map {
          [
            $0.surface.rawValue, $0.class.rawValue, $0.state.rawValue, Console.age($0.askedAt), "\($0.expiresAt)",
            $0.from, $0.askedBy,
          ]
        })
    }
  }

  struct Unfreeze: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Rely on a credential again whose one-time link was used twice, when you know who it was.")

    @OptionGroup var place: Place
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await act.tell(.post, place.path + "/\(place.surface)/unfreeze") { answer in
        let view = try answer.decode(CredentialView.self)
        return "The \(view.title) of '\(view.org)' is \(view.status.rawValue)."
      }
    }
  }
}
