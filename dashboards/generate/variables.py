"""What can be chosen on the dashboards."""

from dashboards.generate.vocabulary import Variable

SITE = Variable("site", "Site", "label_values(dserver_server_info, site)")
CUSTOMER = Variable("customer", "Customer", 'label_values(dserver_server_info{site=~"$site"}, customer_id)')
SERVER = Variable(
    "server", "Server", 'label_values(dserver_server_info{site=~"$site",customer_id=~"$customer"}, server)'
)
SERVERS_OF_ONE = Variable("server", "Server", SERVER.values, all_is="")
PROTOCOL = Variable("protocol", "Protocol", "label_values(dserver_service_up, protocol)")
ONE_CUSTOMER = Variable("customer", "Customer", CUSTOMER.values, any=False)
ONE_SERVER = Variable("server", "Server", SERVER.values, any=False)
ONE_CHECK = Variable("check", "Check", 'label_values(dserver_service_up{server="$server"}, check)', any=False)
INSTANCE = Variable("instance", "Exporter", "label_values(dserver_exporter_build_info, instance)")

FLEET = (SITE, CUSTOMER, SERVER, PROTOCOL)
