//! Requests and redirects, without a server.

use super::*;

fn http(path: &str) -> Http {
    Http { port: 8443, path: path.to_owned(), ..Http::get("www.example.com") }
}

fn place(tls: bool, port: u16, path: &str) -> Place {
    Place { tls, port, path: path.to_owned() }
}

#[test]
fn nothing_in_a_path_leads_elsewhere() {
    let agent = HeaderValue::from_static("waypost");
    for path in ["/", "//198.51.100.1/", "@198.51.100.1/", "http://198.51.100.1/", "#x", "", "/a?b=c&d#e"] {
        let asked = request(&http(path), &place(false, 8443, path), &agent).unwrap();
        assert_eq!((asked.uri().host(), asked.uri().scheme()), (None, None), "{path}");
        assert_eq!(asked.headers()[HOST], "www.example.com:8443");
    }
    for path in ["/a b", "/\r\nX: y"] {
        assert!(request(&http(path), &place(false, 80, path), &agent).is_err(), "{path}");
    }
}

#[test]
fn unusual_ports_are_part_of_the_host() {
    let http = http("/");
    assert_eq!(host(&http, &place(false, 80, "/")).unwrap(), "www.example.com");
    assert_eq!(host(&http, &place(true, 443, "/")).unwrap(), "www.example.com");
    assert_eq!(host(&http, &place(true, 80, "/")).unwrap(), "www.example.com:80");
    let v6 = Http { host: "2001:db8::1".to_owned(), ..http.clone() };
    assert_eq!(host(&v6, &place(false, 80, "/")).unwrap(), "[2001:db8::1]");
    assert!(host(&Http { host: "a\r\nb".to_owned(), ..http }, &place(false, 80, "/")).is_err());
}

#[test]
fn redirects_stay_at_the_target() {
    let here = place(false, 8080, "/a");
    for (location, expected) in [
        ("/b?c#d", Some(place(false, 8080, "/b?c"))),
        ("https://www.example.com/login", Some(place(true, 443, "/login"))),
        ("http://WWW.example.com:81", Some(place(false, 81, "/"))),
        ("//www.example.com/x", Some(place(false, 80, "/x"))),
        ("https://www.example.com?q", Some(place(true, 443, "/?q"))),
        ("https://www.example.com.example.net/", None),
        ("https://www.example.com@example.net/", None),
        ("ftp://www.example.com/", None),
        ("b", None),
        ("http://www.example.com:x/", None),
    ] {
        assert_eq!(here.joined("www.example.com", location), expected, "{location}");
    }
}
