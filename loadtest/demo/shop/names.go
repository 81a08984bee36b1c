package shop

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

var (
	firstNames = strings.Fields(`Amina Anders Beatriz Carlos Chiara Daniel Elena Emeka Fatima Felix
		Gabriel Hanna Ingrid Ivan Jasmin Jonas Kenji Lakshmi Leila Lucia Marek Maria Mateo Mei Nadia
		Noah Olga Omar Paula Priya Rafael Rosa Samir Sofia Tariq Tomas Ulla Victor Yuki Zofia`)
	lastNames = strings.Fields(`Abebe Andersson Bauer Bianchi Costa Diaz Dubois Eriksen Fischer Garcia
		Haddad Hansen Ito Ivanova Jensen Khan Kowalski Kumar Larsen Lopez Marino Mendes Moreau Mueller
		Nakamura Novak Okafor Olsen Patel Petrov Popescu Rossi Santos Schmidt Silva Singh Suzuki Tanaka
		Weber Yilmaz`)
	cities = strings.Fields(`Aarhus Athens Bergen Bologna Bremen Cork Dakar Gdansk Ghent Graz Hanoi
		Izmir Kyoto Lagos Lima Lyon Malaga Nairobi Oslo Porto Pune Quito Riga Seville Tampere Turin`)
	qualities = strings.Fields(`Classic Compact Everyday Folding Light Modern Nordic Quiet Rustic
		Simple Slim Soft Solid Sturdy Travel Urban Vintage Warm Wide Young`)
	materials = strings.Fields(`Aluminium Bamboo Beech Canvas Ceramic Cork Cotton Felt Glass Leather
		Linen Oak Paper Steel Stone Walnut Wool`)
	opinions = []string{
		"Exactly as described.", "Arrived quickly, well packed.", "Smaller than it looks.",
		"I would buy it again.", "The colour is a little off.", "My children love it.",
		"Good value for the price.", "It broke after a month.", "A lovely gift.", "Does what it should.",
	}
	statuses = strings.Fields("paid packed shipped delivered")
)

// shelves are the categories with what they hold.
var shelves = []struct {
	name  string
	goods []string
}{
	{"Backpacks", []string{"Backpack", "Daypack", "Rucksack"}},
	{"Bathroom", []string{"Towel", "Soap Dish", "Bath Mat"}},
	{"Bedding", []string{"Blanket", "Pillow", "Duvet Cover"}},
	{"Board Games", []string{"Chess Set", "Dominoes", "Puzzle"}},
	{"Books", []string{"Notebook", "Sketchbook", "Diary"}},
	{"Chairs", []string{"Chair", "Stool", "Bench"}},
	{"Coffee", []string{"Coffee Mill", "Espresso Cup", "Kettle"}},
	{"Cooking", []string{"Pan", "Pot", "Casserole"}},
	{"Cycling", []string{"Saddle", "Bicycle Bell", "Pannier"}},
	{"Desks", []string{"Desk", "Desk Lamp", "Pen Tray"}},
	{"Garden", []string{"Planter", "Watering Can", "Trowel"}},
	{"Hats", []string{"Cap", "Beanie", "Sun Hat"}},
	{"Headphones", []string{"Headphones", "Earbuds", "Headphone Stand"}},
	{"Jackets", []string{"Jacket", "Raincoat", "Vest"}},
	{"Kitchen Knives", []string{"Bread Knife", "Paring Knife", "Chopping Board"}},
	{"Lamps", []string{"Lamp", "Lantern", "Night Light"}},
	{"Music", []string{"Ukulele", "Metronome", "Music Stand"}},
	{"Pets", []string{"Dog Bed", "Lead", "Feeding Bowl"}},
	{"Rugs", []string{"Rug", "Runner", "Doormat"}},
	{"Shoes", []string{"Boots", "Slippers", "Sandals"}},
	{"Storage", []string{"Basket", "Box", "Shelf"}},
	{"Tableware", []string{"Plate", "Bowl", "Carafe"}},
	{"Toys", []string{"Train", "Building Blocks", "Spinning Top"}},
	{"Travel", []string{"Suitcase", "Wash Bag", "Neck Pillow"}},
}

func pick[T any](random *rand.Rand, of []T) T { return of[random.IntN(len(of))] }

// productName is a name for something of the category, which counts from 1.
func productName(random *rand.Rand, category int) string {
	return fmt.Sprintf("%s %s %s", pick(random, qualities), pick(random, materials), pick(random, shelves[category-1].goods))
}

func productDescription(random *rand.Rand, name string) string {
	return fmt.Sprintf("%s, made in %s since %d. %s weighs %d g and comes with a warranty of %d years.",
		name, pick(random, cities), 1900+random.IntN(120), name, 50+random.IntN(4000), 1+random.IntN(5))
}

func customerName(random *rand.Rand) string {
	return pick(random, firstNames) + " " + pick(random, lastNames)
}

func email(name string, id int) string {
	return fmt.Sprintf("%s.%d@example.com", strings.ToLower(strings.ReplaceAll(name, " ", ".")), id)
}
